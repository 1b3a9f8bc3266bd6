"""What the use cases of quotas take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


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
    user: str
    metric: str
    value: Annotated[int, Meta(ge=0, le=10**15)] = 1


class ReserveQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: str
    metric: str
    value: Annotated[int, Meta(ge=0, le=10**15)] = 1


class CommitQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reservation: str
    value: (
        Annotated[int, Meta(ge=0, le=10**15, description="What was used; what was reserved where it is left out.")]
        | None
    ) = None


class ReleaseQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reservation: str
    value: Annotated[int, Meta(ge=0, le=10**15, description="Ignored: a reservation is given back whole.")] | None = (
        None
    )
