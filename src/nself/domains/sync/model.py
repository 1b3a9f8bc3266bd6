"""Nouns and errors of synchronisation: the mirror here, the objects at Stripe, and why they differ."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from nself.core.errors import Conflict, NotFound, Unavailable
from nself.domains.mirror.model import Picture
from nself.domains.subscription.model import NoSuchSubscription

Purpose = Literal["reconcile", "sync", "compare", "auto"]
Action = Literal["import", "update", "mark deleted", "none"]
Cause = Literal[
    "event missing",
    "event failed",
    "event waiting",
    "changed by hand",
    "follows its price",
    "local write lost",
    "deleted locally",
    "deleted at Stripe",
    "not imported yet",
    "mode mixed",
    "money total differs",
]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the webhook inbox and the record of changes know of an object."""

    id: str
    failed: str | None = None
    """Id and error of its newest failed event."""
    missed: str | None = None
    """Id of its newest event that never arrived and was found in Stripe's list."""
    waiting: str | None = None
    """Id of an event that is still to be processed."""
    number: int | None = None
    """Of the newest picture that changed its row."""
    known: bool = False
    """Whether something was ever stored of it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An object that is not here what it is at Stripe. `picture` is Stripe's, None where the whole row is wrong here."""

    kind: str
    id: str
    cause: Cause
    detail: str
    action: Action
    money: bool
    changes: list[dict[str, Any]]
    picture: Picture | None


class Run(msgspec.Struct, frozen=True):
    """A run over all objects, as it stands."""

    id: int
    purpose: Purpose
    livemode: bool
    heal: bool
    kinds: list[str]
    created_from: datetime | None
    created_to: datetime | None
    batch_size: int
    state: Literal["running", "done", "stopped"]
    kind_number: int
    page_after: str | None
    page_bound: datetime | None
    pages: int
    checked: int
    totals: dict[str, Any]
    actor: str
    worker: str
    fence: int
    leased: bool
    started_at: datetime
    moved_at: datetime
    finished_at: datetime | None
    error: str | None

    @property
    def kind(self) -> str:
        """The one that is read now; the last one where all were."""
        return self.kinds[min(self.kind_number, len(self.kinds)) - 1]

    @property
    def over(self) -> bool:
        """Whether all kinds were read to their end."""
        return self.kind_number > len(self.kinds)


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """What a new run is to do."""

    purpose: Purpose
    heal: bool
    kinds: list[str]
    created_from: datetime | None = None
    created_to: datetime | None = None
    batch_size: int


class Total(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of money over all objects of a kind that were compared, in minor units."""

    kind: str
    currency: str
    here_minor: int
    stripe_minor: int
    equal: bool


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did, or has done so far."""

    run: int
    purpose: str
    state: str
    healed: bool
    checked: int
    pages: int
    differences: int
    by_cause: dict[str, int]
    open: int
    refused: int
    totals: list[Total]
    seconds: int
    per_second: int
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    note: str
    ok: bool = True

    def remarks(self) -> list[str]:
        return [self.note] if self.note else []


class Difference(msgspec.Struct, frozen=True):
    """A row of `show-diff`."""

    run: int
    kind: str
    object: str
    cause: str
    detail: str
    action: str
    money: bool
    state: str
    changes: list[dict[str, Any]]
    error: str | None
    found_at: datetime
    healed_at: datetime | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How well the mirror is known to agree with Stripe."""

    auto_sync: bool
    interval_seconds: int
    last_complete_at: datetime | None
    last_complete_run: int | None
    running: int | None
    progress: str
    healed_last_day: int
    healed_causes: dict[str, int]
    open_differences: int
    refused_differences: int
    events_waiting: int
    events_failed: int
    mirrored: dict[str, int]
    note: str

    def remarks(self) -> list[str]:
        return [self.note] if self.note else []


class FieldDifference(msgspec.Struct, frozen=True):
    """One field here and at Stripe."""

    field: str
    here: Any
    stripe: Any


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """An object here and at Stripe, field by field."""

    kind: str
    object: str
    user: str | None
    here: str
    stripe: str
    in_sync: bool
    cause: str
    detail: str
    built_from: str
    synced_at: datetime | None
    differences: list[FieldDifference]
    ok: bool
    mend: str

    def remarks(self) -> list[str]:
        return [f"to mend it: {self.mend}"] if self.mend else []


class Synced(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was fetched and stored."""

    kind: str
    object: str
    result: Literal["imported", "updated", "marked deleted", "unchanged", "deleted at Stripe"]
    cause: str
    fields: list[str]


class Inconsistency(msgspec.Struct, frozen=True, kw_only=True):
    """Something here that cannot be right, and the command that mends it."""

    kind: str
    object: str
    problem: str
    detail: str
    mend: str


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is to be compared."""

    kind: str
    here: int
    calls: int
    seconds: int


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription's state from its events, and what is true at Stripe."""

    subscription: str
    events: int
    history: list[str]
    by_events: str
    at_stripe: str
    result: str
    cause: str
    fields: list[str]
    note: str

    def remarks(self) -> list[str]:
        return [self.note] if self.note else []


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `customer link`."""

    customer: str
    user: str
    before: str | None
    email: str | None
    note: str

    def remarks(self) -> list[str]:
        return [self.note] if self.note else []


class RunUnderWay(Conflict):
    code, guide = "sync_running", "7.3"
    text = "Run {run} ({purpose}) is under way since {since}, by {worker}"
    hints = ("nself billing reconcile status",)


class RunStopped(Unavailable):
    code, guide = "sync_stopped", "7.3"
    text = "Run {run} stopped at {kind}, after {checked} objects: {detail}"
    hints = ("nself billing reconcile --resume", "nself billing stripe test-connection")


class CompareStopped(RunStopped):
    hints = ("nself billing sync compare", "nself billing stripe test-connection")


class NowhereSubscription(NoSuchSubscription):
    """Not at Stripe either, so that importing it helps nobody."""

    hints = ("nself billing subscription list", "nself billing customer list")


class NeverRun(msgspec.Struct, frozen=True, kw_only=True):
    """Stands for a run where there was none."""

    state: str = "never run"

    def remarks(self) -> list[str]:
        return ["nothing was compared with Stripe by hand yet: nself billing reconcile --dry-run"]


class NoSuchRun(NotFound):
    code, guide, param = "no_such_run", "7.3", "run"
    text = "No such run: {run}"
    hints = ("nself billing reconcile status",)


class OtherUser(Conflict):
    code, guide = "customer_linked", "7.2"
    text = "Customer {customer} belongs to user {user}"
    hints = (
        "nself billing customer show {customer} --compare",
        "nself billing customer link --customer {customer} --user {wanted} --force --reason REASON",
    )


class UserHasCustomer(Conflict):
    code, guide = "customer_exists", "7.2"
    text = "User {wanted} already has customer {customer}"
    hints = (
        "nself billing customer show {customer}",
        "nself billing customer link --customer {given} --user {wanted} --force --reason REASON",
    )
