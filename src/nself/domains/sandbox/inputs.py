"""What the sandbox's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

INSTANT = "2026-03-01, 2026-03-01 10:00:00 (BILLING_TIMEZONE) or 2026-03-01T10:00:00Z"


class RunDemo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    log: Annotated[
        str | None, Meta(description="A web server's access log (.gz too); generated traffic where it is left out.")
    ] = None


class ResetSandbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fixtures: Annotated[
        Literal["guide"] | None,
        Meta(
            description="guide: cus_123, sub_123, in_123, user123 and the other ids of the troubleshooting guide, and the settings and services that its lines expect."
        ),
    ] = None
    yes: Annotated[bool, Meta(description="Needed: all local data of test mode are forgotten.")] = False


class ShowClock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class AdvanceClock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    duration: Annotated[
        str, Meta(description="How far: 30d, 12h, 90m.", extra={"positional": True, "metavar": "DURATION"})
    ]


class SetClock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    instant: Annotated[str, Meta(description=INSTANT, extra={"positional": True, "metavar": "INSTANT"})]


class ListFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class AddFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fail: Annotated[
        Literal["401", "403", "429", "500", "503"] | None, Meta(description="The next calls get this HTTP status.")
    ] = None
    drop: Annotated[bool, Meta(description="The next calls lose their connection without an answer.")] = False
    delay: Annotated[str | None, Meta(description="The next calls wait so long for their answer: 2s.")] = None
    after: Annotated[bool, Meta(description="The work is done first, then the call fails (500 or --drop).")] = False
    method: Annotated[str | None, Meta(description="Only calls of this method (a regular expression).")] = None
    path: Annotated[str | None, Meta(description="Only paths in which this regular expression is found.")] = None
    since: Annotated[
        str | None, Meta(description=f"An outage begins, by the sandbox's clock; now where it is left out: {INSTANT}.")
    ] = None
    until: Annotated[
        str | None, Meta(description="The outage ends: an instant, or a duration after its beginning, like 10m.")
    ] = None
    webhooks: Annotated[
        Literal["lose", "double", "delay", "reorder", "badly-sign"] | None,
        Meta(description="What happens to the next deliveries of events."),
    ] = None
    events: Annotated[str | None, Meta(description="Only types of events that match this regular expression.")] = None
    seconds: Annotated[str | None, Meta(description="How long deliveries are delayed: 30s.")] = None
    times: Annotated[int, Meta(description="How many calls or deliveries; 1 where it is left out.", ge=1)] | None = None


class ClearFaults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[
        str | None,
        Meta(description="Only this one; all where it is left out.", extra={"positional": True, "metavar": "ID"}),
    ] = None


KEY = Meta(
    description="A test key (sk_test_…, rk_test_…); STRIPE_SECRET_KEY where it is left out.",
    extra={"positional": True, "metavar": "KEY"},
)


class RevokeKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: Annotated[str | None, KEY] = None


class RestrictKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: Annotated[str | None, KEY] = None
    allow: Annotated[
        list[str],
        Meta(description="customers=read, invoices=write, *=none: by the first part of the path; the rest is none."),
    ] = []


class EditObject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Annotated[str, Meta(description="As in its field `object`.", extra={"positional": True, "metavar": "KIND"})]
    id: Annotated[str, Meta(description="Its id.", extra={"positional": True, "metavar": "ID"})]
    set: Annotated[
        list[str],
        Meta(
            description="email=new@example.com, metadata.plan=pro, balance=-500: a path and JSON; text need not be quoted."
        ),
    ] = []
    delete: Annotated[bool, Meta(description="Delete it.")] = False
    webhook: Annotated[bool, Meta(description="Whether Stripe tells of it by an event.")] = True


class ListDeliveries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Annotated[str | None, Meta(description="Only of this event (evt_…).")] = None
    state: Annotated[
        Literal["pending", "delivered", "failed", "canceled", "held", "lost"] | None, Meta(description="Only these.")
    ] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class ResendEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Annotated[str, Meta(description="evt_…", extra={"positional": True, "metavar": "EVENT"})]


class SeedSandbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customers: Annotated[int, Meta(description="How many; eight of ten have a subscription.", ge=1, le=1_000_000)] = 100
    seed: Annotated[int, Meta(description="The same seed makes the same objects.")] = 1


class ListSnapshots(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class NameSnapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[
        str,
        Meta(
            description="Letters, digits, dots, dashes and underscores.",
            pattern=r"^[A-Za-z0-9_.-]{1,100}$",
            extra={"positional": True, "metavar": "NAME"},
        ),
    ]


class TriggerEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    event: Annotated[
        str | None,
        Meta(
            description="A type of event; where it is left out, those there are.",
            extra={"positional": True, "metavar": "EVENT"},
        ),
    ] = None


class Listen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    forward_to: Annotated[
        str | None, Meta(description="Where events go; this project's own service where it is left out.")
    ] = None
    events: Annotated[int, Meta(description="End after so many deliveries.", ge=1)] | None = None


class RetrieveObject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Annotated[
        str,
        Meta(
            description="customers, subscriptions, checkout/sessions: as in Stripe's paths.",
            pattern=r"^[a-z_]+(/[a-z_]+)?$",
            extra={"positional": True, "metavar": "KIND"},
        ),
    ]
    id: Annotated[str, Meta(description="Its id.", extra={"positional": True, "metavar": "ID"})]


class ConfirmPayment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(description="pi_…", extra={"positional": True, "metavar": "PAYMENT_INTENT"})]
    payment_method: Annotated[str | None, Meta(description="Pay with this one: pm_card_visa.")] = None
    fail: Annotated[bool, Meta(description="The cardholder does not authenticate the payment.")] = False


class LoadFixtures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    files: Annotated[
        list[str],
        Meta(
            description="JSON files; all of services/billing/test/fixtures where none is named.",
            extra={"positional": True, "metavar": "[FILE]..."},
        ),
    ] = []
