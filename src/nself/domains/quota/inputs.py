"""What the use cases of quotas take."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAX_KEY = 255


class SetQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metric: Annotated[str, Meta(description="A metric of `nself billing usage list-metrics`.")]
    limit: Annotated[int, Meta(description="Most units in a period; -1 is unlimited.", ge=-1, le=10**18)]
    user: Annotated[str | None, Meta(description="The user whose limit it is.")] = None
    plan: Annotated[str | None, Meta(description="Or the plan (free, starter, pro, enterprise) whose limit it is.")] = (
        None
    )
    period: Annotated[
        Literal["hour", "hourly", "day", "daily", "week", "weekly", "month", "monthly", "year", "yearly", "billing"],
        Meta(description="Begins anew each; billing is the subscription's."),
    ] = "month"
    mode: Annotated[
        Literal["hard", "soft", "overage"],
        Meta(description="hard refuses, soft warns, overage charges what is above."),
    ] = "hard"


class ShowQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(description="The app's user.")]
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None


class CheckUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(description="The app's user.")]
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    value: Annotated[int, Meta(description="Units that would be used.", ge=0, le=10**15)] = 1


class CheckQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(description="The app's user.")]
    metric: Annotated[str, Meta(description="A metric of `nself billing usage list-metrics`.")]
    value: Annotated[int, Meta(ge=0, le=10**15, description="Units that would be used.")] = 1


class ReserveQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(description="The app's user.")]
    metric: Annotated[str, Meta(description="A metric of `nself billing usage list-metrics`.")]
    value: Annotated[int, Meta(ge=0, le=10**15, description="Units to hold.")] = 1
    key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_KEY)] | None,
        Meta(
            description="Idempotency key, unique for the user: the same key, metric and value again are the same reservation, "
            "another metric or value is refused (idempotency_error); known until a day after the reservation ended."
        ),
    ] = None


class CommitQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reservation: Annotated[str, Meta(description="What the reserve answered with.")]
    value: Annotated[
        Annotated[int, Meta(ge=0, le=10**15)] | None,
        Meta(description="What was used; what was reserved where it is left out."),
    ] = None
    properties: Annotated[
        dict[str, Any] | None,
        Meta(
            description="An object, of the event that is counted: what the metric filters, validates, counts or groups by."
        ),
    ] = None


class ReleaseQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reservation: Annotated[str, Meta(description="What the reserve answered with.")]
    value: Annotated[
        Annotated[int, Meta(ge=0, le=10**15)] | None, Meta(description="Ignored: a reservation is given back whole.")
    ] = None


User = Annotated[str, Meta(description="The app's user.")]
Metric = Annotated[str | None, Meta(description="Only this metric.")]
Reason = Annotated[str, Meta(description="Why; it is kept.")]


class StatusQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None


class ListQuotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metric: Metric = None
    percent: Annotated[int, Meta(description="Only where so much of the limit is used or held.", ge=0, le=1000)] = 80
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class CompareQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None


class ShowCalculation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None


class TestEnforce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None


class ShowResets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None


class LastReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None


class NextReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str | None, Meta(description="The app's user; every period where it is left out.")] = None


class ShowSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowCron(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ScheduleReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    at: Annotated[str | None, Meta(description="When the job runs next; now where it is left out.")] = None


class ShowJournal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SkipJournal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    segment: Annotated[int | None, Meta(description="The damaged segment; needed with --confirm.")] = None
    confirm: Annotated[bool, Meta(description="Do it; else only say what would be skipped.")] = False


class ResetQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None
    reason: Reason = "by hand"


class ResetAll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    force: Annotated[bool, Meta(description="Do it; without this it is only counted.")] = False
    reason: Reason = "by hand"


class BlockUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    reason: Reason
    metric: Metric = None
    lasting: Annotated[str | None, Meta(description="For how long, like 24h; for ever where it is left out.")] = None


class UnblockUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    metric: Metric = None
    extra: (
        Annotated[
            int, Meta(description="Units above a limit that is used up; a tenth of it where left out.", ge=0, le=10**15)
        ]
        | None
    ) = None
    lasting: Annotated[str, Meta(description="For how long at most; never beyond the period.")] = "24h"
    reason: Reason = "by hand"


class ClearCache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pattern: Annotated[
        str | None,
        Meta(
            description="billing:quota:USER, billing:subscription:ID, billing:stripe:*, or another with * at its end.",
            extra={"positional": True, "metavar": "PATTERN"},
        ),
    ] = None
    ttl_expired: Annotated[bool, Meta(description="Only what is out of date.")] = False
