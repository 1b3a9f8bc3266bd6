"""Nouns and errors of webhooks."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A verified event as it is stored. `object_id` is the type where the event's object has no id."""

    event_id: str
    type: str
    object_id: str
    object_kind: str
    livemode: bool
    api_version: str | None
    event_created_at: datetime
    payload: str


class Kept(msgspec.Struct, frozen=True):
    """What became of a delivery: `fresh` where it was the first sign of its event."""

    event_id: str
    status: str
    fresh: bool


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was not taken. `skew`: seconds that our clock is ahead; `event_id`: what an unproven body claims."""

    code: str
    reason: str
    skew: int | None
    event_id: str | None
    times: int
    refused_at: datetime


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What the receiver answers."""

    received: bool
    event: str
    duplicate: bool


class Poll(msgspec.Struct, frozen=True):
    """How far Stripe's list of events was read; `page_after` and `page_newest` are those of a window under way."""

    began_at: datetime
    seen_at: datetime
    page_after: str | None
    page_newest: datetime | None
    polled_at: datetime | None
    missed: int
    missed_at: datetime | None


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at Stripe's list found: events read, and those that had never arrived."""

    read: int
    missed: int
    woken: int


class Claimed(msgspec.Struct, frozen=True):
    """An object whose events may be processed by the holder of `fence`."""

    object_id: str
    fence: int


class Waiting(msgspec.Struct, frozen=True):
    """An event that is to be processed."""

    id: int
    event_id: str
    object_id: str
    type: str
    object_kind: str
    livemode: bool
    attempts: int


class ListedEvent(msgspec.Struct, frozen=True):
    """A row of `webhook events`."""

    id: int
    event: str
    type: str
    object: str
    status: str
    source: str
    deliveries: int
    attempts: int
    received_at: datetime
    processed_at: datetime | None
    error: str | None


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the worker is up to date, then `oldest_waiting_at` is empty; cheap, however many events are stored."""

    waiting: int
    failed: int
    oldest_waiting_at: datetime | None
    last_received_at: datetime | None


class Status(Undone, frozen=True, kw_only=True):
    """Counts over all stored events."""

    events: int
    deliveries: int
    processed: int
    ignored: int
    parked: int
    received_1h: int
    last_delivered_at: datetime | None
    last_processed_at: datetime | None


class Failure(msgspec.Struct, frozen=True):
    """A row of `webhook failures`: a delivery that was refused, or an event whose processing failed."""

    at: datetime
    what: str
    event: str | None
    type: str | None
    object: str | None
    times: int
    next_at: datetime | None
    reason: str
    skew: int | None
    cause: str


class Seen(ListedEvent, frozen=True):
    """An event of an object, as far as its way to us goes; rows are in order of arrival."""

    created_at: datetime
    fetch_ms: int | None
    took_ms: int | None


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `webhook show-order`."""

    event: str
    type: str
    created_at: datetime
    received_at: datetime
    delay_seconds: int
    status: str
    order: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """How the events of an object arrived, against the order in which Stripe made them."""

    object: str
    events: int
    overtaken: int
    same_second: int
    delivered_again: int
    never_delivered: int
    verdict: str
    problems: list[str]
    arrivals: list[Arrival]


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `webhook timeline`. `by` is an event, an intent, a command or a synchronisation."""

    at: datetime
    what: str
    by: str
    detail: str


class Stage(msgspec.Struct, frozen=True):
    """A row of `webhook show-timing`, in milliseconds."""

    stage: str
    events: int
    p50_ms: int
    p95_ms: int
    p99_ms: int
    max_ms: int


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of events goes. `slowest` names the stage that makes the most of the slow ones."""

    since: datetime
    processed: int
    slowest: str
    stages: list[Stage]


class SlowEvent(msgspec.Struct, frozen=True):
    """A row of `webhook slow`, in milliseconds; `cause` is what took most of it."""

    event: str
    type: str
    object: str
    received_at: datetime
    attempts: int
    waited_ms: int
    stripe_ms: int
    stored_ms: int
    total_ms: int
    cause: str


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, as it is stored."""

    waiting: int
    retrying: int
    dead: int
    parked: int
    objects_due: int
    objects_held: int
    next_retry_at: datetime | None
    oldest_waiting_at: datetime | None
    received_5m: int
    processed_5m: int


class Queue(Backlog, frozen=True, kw_only=True):
    """Result of `webhook queue-status`. `lag_seconds` is the age of the oldest event that waits."""

    lag_seconds: int
    worker: str
    verdict: str
    problems: list[str]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook replay`. `waiting` ones are left to the worker."""

    replayed: int
    processed: int
    failed: int
    waiting: int
    events: list[ListedEvent]
    ok: bool = True

    def remarks(self) -> list[str]:
        return [] if self.ok else [f"{self.failed} failed: nself billing webhook failures"]


class Twin(msgspec.Struct, frozen=True):
    """An event that says the same as an earlier one under another id: Stripe makes such pairs now and then."""

    id: int
    event: str
    twin_of: str
    type: str
    object: str
    status: str


class Repeats(msgspec.Struct, frozen=True, kw_only=True):
    """Events that came more than once, and copies in the table."""

    delivered_again: int
    repeats: int
    stored_twice: int
    marked: int


class Duplicates(Repeats, frozen=True, kw_only=True):
    """Result of `webhook check-duplicates`."""

    since: datetime
    twins: int
    verdict: str


class Deduplicated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook deduplicate`. `again`: events whose mark and effects do not agree, processed once more."""

    executed: bool
    twins: int
    events: list[Twin]
    again: list[str]


class Idempotency(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook show-idempotency`: the event's id is the key."""

    key: str
    type: str
    object: str
    status: str
    deliveries: int
    repeats_ignored: int
    attempts: int
    received_at: datetime
    processed_at: datetime | None
    effects: list[str]
    protection: str
    verdict: str


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint at Stripe; `note` says what is wrong with it."""

    id: str
    url: str
    status: str
    events: list[str]
    api_version: str | None
    note: str


class Check(msgspec.Struct, frozen=True):
    """One step of the way to our endpoint: dns, tcp (firewall where it is dropped), tls, certificate, expiry, http."""

    step: str
    ok: bool
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A root cause in the guide's words, what shows it, and the command that helps."""

    cause: str
    detail: str
    command: str


class Standing(Status, frozen=True, kw_only=True):
    """Result of `webhook status`. `checks`: the way to the endpoint, from this machine; `lag_seconds`: age of the oldest that waits."""

    url: str
    endpoint: str
    state: str
    secrets: int
    refused_24h: int
    missed: int
    lag_seconds: int
    list_read_at: datetime | None
    checks: list[Check]
    problems: list[Problem]
    warnings: list[str]


class UpdatedEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook update-url`."""

    id: str
    url: str
    created: bool
    note: str


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook rotate-secret`."""

    endpoint: str
    retired: str | None
    secret: str
    secrets: int
    verified: str
    note: str


class ShownSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `webhook show-secret`."""

    secret: str
    origin: str
    length: int
    note: str


class SignatureTest(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `webhook test-signature`: the HTTP status that each of our secrets got, and a wrong one."""

    url: str
    secrets: int
    signed: list[int]
    wrongly_signed: int
    milliseconds: int
    passed: bool

    def remarks(self) -> list[str]:
        return ["that Stripe has the same secret only deliveries show: nself billing webhook failures --last 100"]
