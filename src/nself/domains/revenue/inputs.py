"""What revenue takes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RevenueSpan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    month: Annotated[str | None, Meta(description="The last month, like 2026-01; else the one that runs.")] = None
    months: Annotated[int, Meta(ge=1, le=120, description="How many, with the last one.")] = 12
    currency: Annotated[str | None, Meta(description="Only in this one, like usd.")] = None


class ShowRevenue(RevenueSpan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str | None, Meta(description="Only this customer's part, with all that it is made of.")] = None


class ExplainRevenue(RevenueSpan, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Whose part of it.")]
