"""What metering's use cases take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

User = Annotated[str, Meta(description="The app's user.", extra={"metavar": "USER"})]


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One usage event as it comes over HTTP or from a file."""

    user: Annotated[str, Meta(description="The app's user.")]
    metric: Annotated[str, Meta(description="A metric of `nself billing usage list-metrics`.")]
    value: Annotated[int, Meta(description="How much, a whole number of the metric's unit.")]
    at: Annotated[
        str | None,
        Meta(description="When it happened, like 2026-01-15T10:00:00Z; the time of arrival where it is left out."),
    ] = None
    key: Annotated[
        str | None, Meta(description="Idempotency key, unique for the user; without one a resend counts again.")
    ] = None
    properties: Annotated[
        dict[str, Any] | None, Meta(description="An object: what the metric filters, validates, counts or groups by.")
    ] = None


class RecordUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Annotated[str, Meta(description="A metric of `nself billing usage list-metrics`.")]
    value: Annotated[int, Meta(description="How much, a whole number of the metric's unit.")]
    at: Annotated[str | None, Meta(description="When it happened; now where it is left out.")] = None
    key: Annotated[str | None, Meta(description="Idempotency key: the same key counts once.")] = None
    properties: Annotated[
        str | None,
        Meta(description='What the metric filters, validates, counts or groups by, as JSON: {"region": "eu"}.'),
    ] = None


class ImportUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    file: Annotated[str, Meta(description="Path; .gz is unpacked.", extra={"positional": True, "metavar": "FILE"})]
    kind: Annotated[
        Literal["auto", "access", "csv", "ndjson"],
        Meta(
            description="access: combined or common log format. csv: a header with user, metric, value and at, key where known."
        ),
    ] = "auto"
    count_metric: Annotated[str, Meta(description="Access logs: metric that counts one for each line.")] = "api_calls"
    bytes_metric: Annotated[str, Meta(description="Access logs: metric that sums the bytes sent.")] = "bandwidth"
    origin: Annotated[
        str | None, Meta(description="Where the file is from: tells apart files that begin with the same line.")
    ] = None
    create_users: Annotated[bool, Meta(description="Create users that are not there yet.")] = False


class ShowUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    period: Annotated[str | None, Meta(description="A month, 2026-01; this month where it is left out.")] = None
    month: Annotated[str | None, Meta(description="The same as --period.")] = None
    by: Annotated[Literal["hour", "day"] | None, Meta(description="One row an hour or a day.")] = None
    group_by: Annotated[
        str | None, Meta(description="One row a value of this property, which the metric's group_by names.")
    ] = None


class UsageStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    recount: Annotated[
        bool,
        Meta(
            description="Count all raw events also where there are millions; else those recorded since the daily count."
        ),
    ] = False


class ShowCollector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SkipDamage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    segment: Annotated[int | None, Meta(description="The damaged segment; needed with --confirm.")] = None
    confirm: Annotated[bool, Meta(description="Do it; else only say what would be skipped.")] = False


class AggregateUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    force: Annotated[
        bool, Meta(description="Also when the last run is more recent than the interval (always so by hand).")
    ] = False


class ShowAggregation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowFormula(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metric: Annotated[str, Meta(description="A metric of `nself billing usage list-metrics`.")]
    period: Annotated[str | None, Meta(description="A month, 2026-01; this month where it is left out.")] = None


class CompareUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    start: Annotated[str | None, Meta(description="First day or instant; this month's where it is left out.")] = None
    end: Annotated[str | None, Meta(description="Last day, all of it, or the first instant outside.")] = None
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None


class AuditUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    date: Annotated[str | None, Meta(description="One day, 2026-01-15; this month where it is left out.")] = None
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    check_duplicates: Annotated[
        bool, Meta(description="Only events that say the same as another at the same instant, under another key.")
    ] = False
    limit: Annotated[int, Meta(description="Most events shown.", ge=1, le=10_000)] = 50


class ListRejected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: Annotated[str | None, Meta(description="Only events that were rejected for this reason.")] = None
    limit: Annotated[int, Meta(description="Most events shown, newest first.", ge=1, le=10_000)] = 50
