"""What the looks at the whole system take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Component = Literal[
    "services", "settings", "database", "stripe", "usage", "webhooks", "quotas", "jobs", "mail", "documents", "machine"
]

LAST = "How far back, like 30m, 24h or 7d."


class ShowHealth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    component: Annotated[Component | None, Meta(description="Only this part.")] = None


class ShowOverview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ListErrors(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    last: Annotated[str, Meta(description=LAST)] = "24h"
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class ShowMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    last: Annotated[str, Meta(description=LAST)] = "1h"
    show_percentiles: Annotated[bool, Meta(description="Also p50, p95 and p99.")] = False


class ShowRequests(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    last: Annotated[str, Meta(description=LAST)] = "1h"


class ShowPerformance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    compare: Annotated[bool, Meta(description="Beside the figures of the time when this was asked before.")] = False
    last: Annotated[str, Meta(description=LAST)] = "1h"


class ShowTimeouts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


Probed = Literal["http", "worker", "usage-collector", "pdf-generator", "mail"]
SERVICE = "Which service."
OUTPUT = "File to write, 0600; by default one in .nself/profiles."
Form = Literal["speedscope", "flamegraph", "table"]


class ProfileService(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    duration: Annotated[str, Meta(description="How long, like 60s, at most 1h.")] = "30s"
    service: Annotated[Probed, Meta(description=SERVICE)] = "http"
    form: Annotated[
        Form,
        Meta(description="Of the file: for https://speedscope.app, an SVG, or the printed table as CSV."),
    ] = "speedscope"
    output: Annotated[str | None, Meta(description=OUTPUT)] = None


class ProfileMemory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    duration: Annotated[str, Meta(description="How long, like 300s, at most 1h.")] = "60s"
    service: Annotated[Probed, Meta(description=SERVICE)] = "http"
    output: Annotated[str | None, Meta(description=OUTPUT)] = None


class SnapshotHeap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    service: Annotated[Probed, Meta(description=SERVICE)] = "http"
    output: Annotated[str | None, Meta(description=OUTPUT)] = None
