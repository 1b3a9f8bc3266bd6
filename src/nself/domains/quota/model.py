"""Nouns and errors of quotas."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from nself.core.errors import Invalid, NotFound
from nself.core.period import Unit

Mode = Literal["hard", "soft", "overage"]
PLANS = ("free", "starter", "pro", "enterprise")
UNLIMITED = -1


class Limit(msgspec.Struct, frozen=True):
    """A user's effective limit; `source` says whose it is: `user`, `plan free` or `none`."""

    user: str
    metric: str
    limit: int
    period: Unit
    mode: Mode
    source: str


class QuotaState(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and what is left of it. `remaining` and `limit` are -1 where unlimited."""

    user: str
    metric: str
    allowed: bool
    limit: int
    used: int
    held: int
    remaining: int
    percent: str
    state: str
    mode: Mode
    period: Unit
    source: str
    resets_at: datetime


class UserCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota check`."""

    user: str
    allowed: bool
    note: str
    quotas: list[QuotaState]


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `quota set`."""

    target: str
    metric: str
    limit: int
    period: Unit
    mode: Mode


class NoSuchPlan(NotFound):
    code, param = "no_such_plan", "plan"
    text = "No such plan: {plan} (free, starter, pro or enterprise)"


class WhoseQuota(Invalid):
    code, guide = "parameter_missing", "5.1"
    text = "Give either --user or --plan"
    hints = ("nself billing quota set --user user123 --metric api_calls --limit 1000 --period month",)
