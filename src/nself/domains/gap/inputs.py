"""What the use cases of gaps take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

User = Annotated[str, Meta(description="The app's user.")]


class FindGaps(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    start: Annotated[str | None, Meta(description="First day or instant; this month's where it is left out.")] = None
    end: Annotated[str | None, Meta(description="Last day, all of it, or the first instant outside.")] = None
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None


class ReconstructUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    date: Annotated[str, Meta(description="The day, 2026-01-15, or the first of several.")]
    until: Annotated[str | None, Meta(description="The last day, all of it, where there are several.")] = None
    from_logs: Annotated[
        bool, Meta(description="From the services' logs, files imported before, and BILLING_ACCESS_LOG.")
    ] = False
    log: Annotated[
        list[str],
        Meta(description="From these files: a web server's log, CSV or NDJSON.", extra={"metavar": "FILE"}),
    ] = []
    count_metric: Annotated[str, Meta(description="Web logs: metric that counts one for each line.")] = "api_calls"
    bytes_metric: Annotated[str, Meta(description="Web logs: metric that sums the bytes sent.")] = "bandwidth"
    execute: Annotated[bool, Meta(description="Record what is missing; else only show it.")] = False
    invoiced: Annotated[
        bool, Meta(description="Also where it is invoiced already: the next invoice bills the difference.")
    ] = False
    reason: Annotated[str | None, Meta(description="Why, for the audit; needed in live mode with --execute.")] = None
