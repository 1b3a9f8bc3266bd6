"""What the use cases of repair take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

User = Annotated[str, Meta(description="The app's user.")]
Execute = Annotated[bool, Meta(description="Do it; else only show what it would change.")]
Invoiced = Annotated[
    bool,
    Meta(
        description="Also where it is invoiced already: the next invoice bills what is more; less is credited by `overage update`."
    ),
]
Why = Annotated[str | None, Meta(description="Why, for the audit; needed in live mode with --execute.")]
Key = Annotated[str, Meta(description="The event's idempotency key, as `usage audit` shows it.")]


class DeduplicateUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    start: Annotated[str | None, Meta(description="First day or instant; this month's where it is left out.")] = None
    end: Annotated[str | None, Meta(description="Last day, all of it, or the first instant outside.")] = None
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    within: Annotated[
        int, Meta(description="Seconds that alike events may lie apart; 0: of the same instant.", ge=0, le=3600)
    ] = 0
    own_keys: Annotated[
        bool, Meta(description="Also events whose sender gave each a key of its own, which says that they are two.")
    ] = False
    execute: Execute = False
    invoiced: Invoiced = False
    reason: Why = None


class RecalculateUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    period: Annotated[str | None, Meta(description="A month, 2026-01; every month where it is left out.")] = None
    month: Annotated[str | None, Meta(description="The same as --period.")] = None
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    execute: Execute = False
    invoiced: Invoiced = False
    reason: Why = None


class VoidEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    key: Key
    execute: Execute = False
    invoiced: Invoiced = False
    reason: Why = None


class CorrectEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    key: Key
    value: Annotated[
        int, Meta(description="What the event counts from now on, also where it was void.", ge=0, le=10**15)
    ]
    execute: Execute = False
    invoiced: Invoiced = False
    reason: Why = None


class ExplainEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: Annotated[str | None, Meta(description="The event's idempotency key.")] = None
    event: Annotated[
        int | None, Meta(description="The number of a rejected event, as `usage rejected list` shows it.")
    ] = None
    user: Annotated[str | None, Meta(description="The app's user: two users may use the same key.")] = None


class ReplayRejected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Annotated[str | None, Meta(description="Only events that were rejected for this reason.")] = None
    event: Annotated[int | None, Meta(description="Only the event of this number.")] = None
    limit: Annotated[int, Meta(description="Most events taken up, oldest first.", ge=1, le=100_000)] = 10_000
    execute: Execute = False
    invoiced: Invoiced = False
    reason: Why = None
