"""What the use cases of overage take."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

User = Annotated[str, Meta(description="The app's user.")]


class ShowOverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    period: Annotated[str | None, Meta(description="A month, 2026-01; this month where it is left out.")] = None


class CalculateOverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    actual_usage: Annotated[int, Meta(description="Units used.", ge=0, le=10**18)]
    quota_limit: Annotated[int, Meta(description="Units included; -1 is unlimited.", ge=-1, le=10**18)]
    metric: Annotated[str, Meta(description="The metric whose price it is.")] = "api_calls"
    rate: Annotated[
        Decimal | None, Meta(description="Currency units (dollars, not cents) a unit, instead of the metric's price.")
    ] = None
    period: Annotated[str | None, Meta(description="A month, 2026-01; this month where it is left out.")] = None


class AuditOverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    period: Annotated[str | None, Meta(description="Only this month, 2026-01.")] = None


class RecalculateOverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    period: Annotated[str | None, Meta(description="Only this month, 2026-01.")] = None
    execute: Annotated[bool, Meta(description="Take back what was set by hand and is not invoiced yet.")] = False
    reason: Annotated[str | None, Meta(description="Why, for the audit; needed in live mode with --execute.")] = None


class UpdateOverage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    usage: Annotated[int, Meta(description="Units used in the period.", ge=0, le=10**18)]
    quota: Annotated[int, Meta(description="Units included; -1 is unlimited.", ge=-1, le=10**18)]
    rate: Annotated[Decimal, Meta(description="Currency units (dollars, not cents) for each unit above the quota.")]
    metric: Annotated[str, Meta(description="The metric.")] = "api_calls"
    period: Annotated[str | None, Meta(description="A month, 2026-01; this month where it is left out.")] = None
    reason: Annotated[str | None, Meta(description="Why, for the audit; needed in live mode.")] = None
