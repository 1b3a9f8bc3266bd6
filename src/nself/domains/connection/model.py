"""Nouns of the connection with Stripe."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from nself.core.errors import Conflict, Unavailable
from nself.core.steps import Step as Step
from nself.domains.mirror.model import Snapshot as Snapshot


class Intent(msgspec.Struct, frozen=True):
    """A claimed intent. `fence` is the number of the claim: only its holder may record an outcome."""

    id: int
    operation: str
    step: int
    kind: str
    params: dict[str, Any]
    idempotency_key: str
    livemode: bool
    attempts: int
    fence: int
    seconds_since_first_sent: float
    seconds_since_wished: float


def operation_name(livemode: bool, *parts: object) -> str:
    """Begins with the mode: operations of the two modes never meet."""
    return ":".join(("live" if livemode else "test", *map(str, parts)))


class Wish(msgspec.Struct, frozen=True):
    """An intent to be recorded."""

    operation: str
    kind: str
    params: dict[str, Any]
    step: int = 1


class FailedWish(Wish, frozen=True):
    """One that Stripe refused for good, under its key."""

    idempotency_key: str = ""


class Wished(msgspec.Struct, frozen=True):
    """An intent as it was recorded, and what Stripe refused for good."""

    params: dict[str, Any]
    state: str
    failure: dict[str, Any] | None


class ListedIntent(msgspec.Struct, frozen=True):
    """A row of `billing stripe intents`."""

    id: int
    operation: str
    kind: str
    state: str
    attempts: int
    next_at: datetime
    error_code: str | None
    error: str | None


class IntentCounts(msgspec.Struct, frozen=True):
    """Wishes that are not fulfilled."""

    pending: int
    failed: int
    oldest_pending_at: datetime | None


class Queued(msgspec.Struct, frozen=True):
    """An intent in the payment queue; `age` in seconds since it was wished for."""

    id: int
    operation: str
    kind: str
    params: dict[str, Any]
    queued_at: datetime
    age: float
    attempts: int
    error_code: str | None
    error: str | None


class Unpaid(msgspec.Struct, frozen=True):
    """Payments that are not made yet."""

    queued: int
    with_worker: int
    oldest_at: datetime | None
    oldest_seconds: int | None


class OperationState(msgspec.Struct, frozen=True):
    """Where an operation stands: `id` and `state` of its newest intent; `queued`: it waits in the payment queue."""

    id: int
    operation: str
    kind: str
    state: str
    attempts: int
    error_code: str | None
    error: str | None
    object_id: str | None
    failure: dict[str, Any] | None
    held: bool


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How Stripe is reached."""

    mode: str
    secret_key: str
    secret_key_origin: str
    secret_key_length: int
    publishable_key: str
    webhook_secrets: int
    api_base: str
    sandbox: bool
    rate_limit: int
    cache: str
    batch_requests: bool
    warnings: list[str]


class ConnectionTest(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `stripe test-connection`. `skew_seconds`: how far our clock is ahead of Stripe's; `code`: of what failed."""

    ok: bool
    mode: str
    api_base: str
    account: str | None
    api_version: str
    skew_seconds: int | None
    milliseconds: int
    steps: list[Step]
    cause: str | None = None
    help: str | None = None
    code: str | None = None

    @property
    def failed(self) -> Step | None:
        """The step that broke the chain."""
        return next((one for one in self.steps if one.state == "failed"), None)


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """What a key may do with one kind of object."""

    resource: str
    read: Literal["yes", "no", "unknown"]
    write: Literal["yes", "no", "unknown"]


class KeyTest(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `stripe test-key`. `lacks`: what nself needs and the key may not do."""

    valid: bool
    secret_key: str
    origin: str
    kind: str
    mode: str
    account: str | None
    odd: str | None
    permissions: list[Permission]
    lacks: list[str]
    cause: str | None = None
    help: str | None = None


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Calls a second: what Stripe allows, what nself allows itself, what was used."""

    mode: str
    stripe_allows: int
    buffer: Decimal
    nself_allows: int
    last_minute: Decimal
    busiest_second: int
    refused_last_hour: int
    calls_last_hour: int
    note: str


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Calls to Stripe in one minute. `busiest_second` of it, `share` of what is allowed, in percent."""

    minute: datetime
    calls: int
    busiest_second: int
    share: int


class Pressure(msgspec.Struct, frozen=True):
    """Calls of an hour, those that Stripe refused as too many, and what makes that likely by the id of its root cause."""

    calls: int
    refused: int
    odd: dict[str, str]


class Second(msgspec.Struct, frozen=True):
    """Calls that were granted in a second of Unix time, `age` seconds ago."""

    second: int
    granted: int
    age: int


class TooLate(Conflict):
    code, guide = "change_not_made", "10.6"
    text = "Whether {operation} was done could not be learned within a day; it is not done, and not tried any more."
    hints = ("nself billing stripe intents --state failed",)


class PaymentExpired(TooLate):
    code, guide = "queued_payment_expired", None
    text = "{operation} waited in the payment queue for {days} days: it is not made any more."
    hints = ("nself env set BILLING_QUEUE_EXPIRY=7d",)


class PaymentGivenUp(TooLate):
    code, guide = "queued_payment_given_up", None
    text = "The invoice {invoice} was marked uncollectible while its payment waited: it is not charged."
    hints = ("nself billing invoice show {invoice}",)


class PaymentQueued(Unavailable):
    """A payment that is asked for waits in the payment queue, as intent number `id`."""

    code = "payment_queued"
    text = "The payment is recorded as queued_{id} and not made yet: it waits in the payment queue."
    hints = ("nself billing process-queue --batch-size 100", "nself billing queue list")

    def __init__(self, id: int) -> None:
        super().__init__(id=id)
        self.id = id


class StillPending(Unavailable):
    code, guide = "still_pending", "10.5"
    text = "{count} of {total} operations are recorded but not finished: {detail}. The worker goes on with them."
    hints = ("nself billing stripe intents --state pending", "nself status", "nself start")


class OperationFailed(Conflict):
    """What Stripe answered for good to an intent; `code` is Stripe's."""

    text = "{error}"
    hints = ("nself billing stripe intents --state failed",)

    def __init__(self, code: str, error: str) -> None:
        super().__init__(error=error)
        self.code = code
