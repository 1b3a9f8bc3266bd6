"""What the use cases of subscriptions take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Status = Literal["incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"]


class ShowSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    subscription: Annotated[
        str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "SUBSCRIPTION"})
    ]
    compare_stripe: Annotated[bool, Meta(description="Against Stripe, field by field.")] = False


class ListSubscriptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str | None, Meta(description="Only this user's.")] = None
    status: Annotated[Status | None, Meta(description="Only these.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0)] = 0
