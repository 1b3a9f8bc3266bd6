"""What the use cases of webhooks take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Since = Annotated[
    str, Meta(description="How far back: a duration like 24h or 7d, or a date or time like 2026-01-15T10:00:00Z.")
]
Most = Annotated[int, Meta(description="Most rows.", ge=1, le=1000)]
ObjectId = Annotated[str, Meta(description="The object (sub_…, in_…, cus_…).")]
Event = Annotated[str, Meta(description="The event (evt_…).", extra={"positional": True, "metavar": "EVENT"})]


class ListEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[
        Literal["received", "processed", "failed", "failed_permanent", "duplicate", "ignored", "parked"] | None,
        Meta(description="Only these."),
    ] = None
    object: Annotated[str | None, Meta(description="Only events of this object (in_…, cus_…).")] = None
    type: Annotated[str | None, Meta(description="Only this type (invoice.paid).")] = None
    limit: Most = 100


class WebhookStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ListFailures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    last: Annotated[int, Meta(description="Most rows, the newest ones.", ge=1, le=1000)] = 100


class ShowOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    object: ObjectId
    limit: Most = 100


class ShowTimeline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    object: Annotated[
        str, Meta(description="The object (sub_…, in_…, cus_…).", extra={"positional": True, "metavar": "OBJECT"})
    ]
    limit: Annotated[int, Meta(description="Most events and most changes, the newest ones.", ge=1, le=1000)] = 200


class ShowTiming(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Since = "24h"
    type: Annotated[str | None, Meta(description="Only this type (invoice.paid).")] = None


class ListSlow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    threshold: Annotated[str, Meta(description="From arrival until it was processed: a duration like 5s.")] = "5s"
    since: Since = "24h"
    limit: Most = 100


class ShowQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ReplayWebhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Annotated[
        str | None, Meta(description="One event (evt_…).", extra={"positional": True, "metavar": "[EVENT]"})
    ] = None
    status: Annotated[
        Literal["failed", "failed_permanent", "parked", "ignored", "processed"] | None,
        Meta(description="All of these; failed also means those that were given up."),
    ] = None
    since: Since = "24h"
    limit: Annotated[int, Meta(description="Most events, the oldest ones.", ge=1, le=10_000)] = 1000


class CheckDuplicates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Since = "30d"


class DeduplicateWebhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    dry_run: Annotated[bool, Meta(description="Only show what would be marked; so it is without --execute.")] = False
    execute: Annotated[bool, Meta(description="Mark them; nothing is deleted.")] = False
    since: Since = "30d"


class ShowIdempotency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Event


class ShowEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Event


class ListEndpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TestSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class UpdateUrl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            description="Where Stripe sends events.",
            extra={"positional": True, "metavar": "URL"},
            pattern=r"^https?://[^\s]+$",
        ),
    ]


class RotateSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    immediate: Annotated[
        bool, Meta(description="The old secret is worth nothing from now on: for one that others know.")
    ] = False
    secret_stdin: Annotated[
        bool, Meta(description="Read the new secret, rolled by hand in Stripe's Dashboard, from standard input.")
    ] = False


class ShowSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reveal: Annotated[bool, Meta(description="Show it in full; the log is told who looked.")] = False
