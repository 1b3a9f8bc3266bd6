"""What is told of the whole system."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

State = Literal["ok", "warning", "failed"]


class Sample(NamedTuple):
    """One figure of `/metrics`."""

    name: str
    value: float


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """`help` is a command, `cause` a root cause or an issue (`nself billing doctor --issue 6.1`); empty where all is well."""

    component: str
    check: str
    state: State
    detail: str
    help: str = ""
    cause: str = ""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`healthy`: nothing failed; warnings do not count."""

    healthy: bool
    mode: str
    failed: int
    warnings: int
    milliseconds: int
    checks: list[Check]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `billing status`: what runs and what waits. Figures are None while the database is away."""

    mode: str
    services: str
    not_running: list[str]
    database: str
    maintenance: str
    usage_not_folded: int | None = None
    usage_buffered: int | None = None
    webhooks_waiting: int | None = None
    webhooks_failed: int | None = None
    changes_pending: int | None = None
    changes_failed: int | None = None
    mails_waiting: int | None = None
    documents_waiting: int | None = None
    stripe_calls_1h: int | None = None
    stripe_failures_1h: int | None = None
    requests_1h: int | None = None
    request_errors_1h: int | None = None
    notes: list[str]

    def remarks(self) -> list[str]:
        return self.notes


class ErrorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one kind. `source`: where it was told; `help` is a command."""

    source: str
    error: str
    times: int
    last_at: datetime
    example: str
    help: str


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long, in milliseconds; percentiles to the next bound, a fifth too much at most."""

    measure: str
    what: str
    count: int
    per_minute: Decimal
    errors: int
    average_ms: Decimal | None
    p50_ms: Decimal | None = None
    p95_ms: Decimal | None = None
    p99_ms: Decimal | None = None


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `performance`; the `before` columns with --compare. Milliseconds."""

    what: str
    count: int
    p50_ms: Decimal | None
    p95_ms: Decimal | None
    p99_ms: Decimal | None
    before_p95_ms: Decimal | None = None
    change_percent: int | None = None
    note: str = ""


class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `show-timeouts`."""

    name: str
    value: str
    origin: str
    limits: str


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `profile`: how much of the time a function ran itself, and ran or waited for what it called."""

    function: str
    self_percent: Decimal
    total_percent: Decimal
    samples: int


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `memory-profile`."""

    place: str
    grown_kb: int
    pieces: int


class Living(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `heap-snapshot`: all objects of a type."""

    type: str
    count: int
    kb: int
    percent: Decimal
