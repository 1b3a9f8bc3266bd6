"""Pure decisions about limits and overage."""

from __future__ import annotations

from nself.core.period import Period
from nself.domains.quota.model import UNLIMITED, Limit, QuotaState

WARN_PERCENT = (50, 80)


def allows(limit: int, after: int) -> bool:
    """Exactly at the limit is allowed, the next unit is not."""
    return limit == UNLIMITED or after <= limit


def percent(limit: int, used: int) -> str:
    """Share used with one digit, cut off and not rounded, so that 99.99 is never 100."""
    if limit == UNLIMITED:
        return "0.0"
    if limit == 0:
        return "100.0" if used else "0.0"
    tenths = used * 1000 // limit
    return f"{tenths // 10}.{tenths % 10}"


def state_word(limit: int, used: int) -> str:
    """ok, warning (from 50 % on) or exceeded (above the limit)."""
    if limit == UNLIMITED:
        return "ok"
    if used > limit:
        return "exceeded"
    return "warning" if used * 100 >= WARN_PERCENT[0] * limit and used else "ok"


def judge(limit: Limit, used: int, after: int, span: Period, enforced: bool) -> QuotaState:
    """What a limit says of usage that would grow from `used` to `after`."""
    unlimited = limit.limit == UNLIMITED
    return QuotaState(
        user=limit.user,
        metric=limit.metric,
        allowed=not enforced or limit.mode != "hard" or allows(limit.limit, after),
        limit=limit.limit,
        used=used,
        held=0,
        remaining=UNLIMITED if unlimited else max(0, limit.limit - used),
        percent=percent(limit.limit, used),
        state=state_word(limit.limit, used),
        mode=limit.mode,
        period=limit.period,
        source=limit.source,
        resets_at=span.end,
    )


def overage(limit: int, used: int) -> int:
    """Units above the limit."""
    return 0 if limit == UNLIMITED else max(0, used - limit)
