"""What the looks at the whole system take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Component = Literal[
    "services", "database", "stripe", "usage", "webhooks", "quotas", "jobs", "mail", "documents", "machine"
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
