"""Seeds as files write them, what is made of them, and their errors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from nself.core.errors import Conflict, Denied, Invalid
from nself.core.money import MAX_MINOR

Kind = Literal["customers", "subscriptions", "invoices"]
KINDS: tuple[Kind, ...] = ("customers", "subscriptions", "invoices")
Key = Annotated[str, Meta(pattern="^[A-Za-z0-9_.-]{1,60}$")]
Amount = Annotated[int, Meta(ge=0, le=MAX_MINOR)]
Currency = Annotated[str, Meta(pattern="^[a-z]{3}$")]
Method = Annotated[str, Meta(pattern="^pm_[A-Za-z0-9_]+$")]
MARK, DIGEST = "nself_seed", "nself_seed_digest"
"""Names in the metadata at Stripe: the seed's key, and what the file said when it was made."""


class SeedCustomer(msgspec.Struct, frozen=True, kw_only=True):
    key: Key
    email: Annotated[str, Meta(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s.]+$", max_length=512)]
    user: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    """The app's user; `seed-` and the key where it is left out."""
    name: Annotated[str, Meta(max_length=256)] | None = None
    payment_method: Method | None = None
    country: Annotated[str, Meta(pattern="^[A-Z]{2}$")] | None = None

    @property
    def owner(self) -> str:
        return self.user or f"seed-{self.key}"


class SeedSubscription(msgspec.Struct, frozen=True, kw_only=True):
    """Either `price` of Stripe, or `plan` with `amount` a period: its price is made."""

    key: Key
    customer: Key
    price: Annotated[str, Meta(pattern="^[A-Za-z0-9_]{1,255}$")] | None = None
    plan: Literal["free", "starter", "pro", "enterprise"] | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    interval: Literal["day", "week", "month", "year"] | None = None
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    trial_days: Annotated[int, Meta(ge=1, le=730)] | None = None


class SeedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: Annotated[str, Meta(min_length=1, max_length=500)]
    amount: Annotated[int, Meta(ge=-MAX_MINOR, le=MAX_MINOR)]


class SeedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    key: Key
    customer: Key
    lines: Annotated[list[SeedLine], Meta(min_length=1, max_length=100)]
    status: Literal["draft", "open", "paid", "void"] = "paid"
    currency: Currency | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """All that is to be there. Whoever a subscription or invoice names is among the customers."""

    customers: list[SeedCustomer] = []
    subscriptions: list[SeedSubscription] = []
    invoices: list[SeedInvoice] = []


class Standing(msgspec.Struct, frozen=True):
    """A seeded object that is there; `kind` is one of KINDS or `prices`."""

    kind: str
    key: str
    digest: str
    id: str
    status: str
    customer: str | None


class LastRun(msgspec.Struct, frozen=True):
    """`ended_at` None: it runs, or it was killed. `cleared`: what the files describe was taken away since it was last made."""

    what: str
    started_at: datetime
    ended_at: datetime | None
    errors: list[str]
    cleared: bool


class SeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """Of a run: `standing` were there before; `differing` of those are not as the files say."""

    kind: str
    wanted: int
    made: int
    standing: int
    differing: int
    mode: str = "test"


class KindStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`others`: there, but in no file (test data, or an entry that was removed)."""

    kind: str
    wanted: int
    there: int
    missing: int
    differing: int
    others: int


class SeedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`causes` as `root cause: what — command`; `last_run` is empty where there was none."""

    mode: str
    folder: str
    kinds: list[KindStatus]
    differences: list[str]
    last_run: str
    causes: list[str]


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each were taken away. `kept`: what Stripe lets nobody delete."""

    customers: int
    subscriptions: int
    drafts_deleted: int
    invoices_voided: int
    prices_archived: int
    kept: list[str]
    mode: str = "test"


class SeedsInTestModeOnly(Denied):
    code, guide = "test_mode_only", "9.2.2"
    text = "Test mode is not enabled: STRIPE_MODE is live here. Seeds and test data exist in test mode only"
    hints = ("nself env set STRIPE_MODE=test", "nself billing stripe show-mode")


class BadSeeds(Invalid):
    code, guide = "seed_file_invalid", "9.2"
    text = "The seed files are invalid; nothing was made.{detail}"
    hints = ("nself billing seed status",)


class DuplicateData(Conflict):
    code, guide = "seed_duplicate", "9.2.4"
    text = "Duplicate data: {detail}. Nothing was made"
    hints = ("nself billing seed status", "nself billing seed clear --confirm")


class ConstraintFails(Conflict):
    code, guide = "seed_constraint", "9.2.3"
    text = "Database constraints failing: {detail}. Nothing was made"
    hints = ('nself db query "SELECT conname, conrelid::regclass FROM pg_constraint"', "nself db status")


class SeedFailed(Conflict):
    code, guide = "seed_failed", "9.2"
    text = "{count} of {total} could not be made: {detail}. The rest is there; run it again when the cause is mended"
    hints = ("nself billing seed status", "nself billing seed run", "nself billing stripe intents --state failed")


class ClearUnconfirmed(Denied):
    code, guide = "confirmation_needed", "9.2"
    text = "This would delete {plan}; --confirm is needed. Nothing was changed"
    hints = ("nself billing seed clear --confirm",)
