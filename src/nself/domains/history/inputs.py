"""What histories take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ShowHistory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: (
        Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "CUSTOMER"})] | None
    ) = None
    user: Annotated[str, Meta(description="The user instead, also one without a customer.")] | None = None
    since: Annotated[str, Meta(description='How far back: 24h, 7d, 2026-01-30, "2026-01-30 00:00:00".')] = "30d"
    limit: Annotated[int, Meta(description="Most rows, the newest ones.", ge=1, le=1000)] = 100
