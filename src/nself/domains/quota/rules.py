"""Pure decisions about limits and overage."""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from nself.core import period
from nself.core.period import Period
from nself.domains.connection.rules import items, part
from nself.domains.mirror.model import Snapshot
from nself.domains.notification.model import Note
from nself.domains.quota.errors import NoSuchReservation
from nself.domains.quota.model import (
    LONG_AGO as LONG_AGO,
)
from nself.domains.quota.model import (
    NEVER as NEVER,
)
from nself.domains.quota.model import (
    UNLIMITED,
    Ask,
    Counter,
    Decision,
    Policy,
    QuotaState,
    Reservation,
    Verdict,
    Window,
)
from nself.domains.usage import figures
from nself.domains.usage.errors import KeyReused

WARN_PERCENT = (50, 80)
MICROSECOND = timedelta(microseconds=1)
KEPT = timedelta(days=1)
"""How long an expired or settled reservation is known: it can be committed late, and repeated."""
GROWING = ("sum", "count", "unique")
"""Aggregations whose figure grows by what is used."""
MAX_TAKEN = 10**18
MAX_RETRY_AFTER = 3600
PREFIX = "rsv_"
JOURNALED, KEYED = "j", "k"
AWAY = "the database is away: let through by QUOTA_FAIL_MODE, counted when it is back"
NOT_ENFORCED = "QUOTA_ENFORCEMENT_ENABLED is false: everything is allowed"
NO_SUBSCRIPTION = "period billing is the calendar month: there is no subscription"


def standing(subscription: Snapshot) -> tuple[object, ...]:
    """What a subscription's snapshot says of the plan."""
    prices = [part(one, "price") for one in items(subscription, "items")]
    return subscription.get("status"), [(one.get("id"), part(one, "metadata").get("plan")) for one in prices]


def window(at: datetime, unit: Window, tz: ZoneInfo) -> Period:
    """The period of a limit that holds `at`."""
    return period.containing(at, "month" if unit == "billing" else unit, tz)


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


def crossed(counter: Counter, levels: Sequence[int]) -> list[int]:
    """Thresholds that `used` has reached and that were not told yet."""
    if counter.limit <= 0 or not counter.used:
        return []
    share = counter.used * 100 // counter.limit
    return [level for level in levels if counter.warned < level <= share]


def told(counter: Counter, level: int, email: str | None) -> Note:
    """What is said of a threshold of `level` percent that was passed."""
    return Note(
        kind="quota.exceeded" if level >= 100 else "quota.threshold",
        email=email,
        template="quota_exceeded" if level >= 100 else "quota_warning",
        data={
            "object": "quota", "user": counter.user, "metric": counter.metric, "threshold": level, "used": counter.used,
            "limit": counter.limit, "mode": counter.mode, "period": counter.period,
            "period_start": int(counter.window_start.timestamp()), "resets_at": int(counter.window_end.timestamp()),
        },
    )  # fmt: skip


# ---- Decisions ----


def amount(aggregation: str, value: int) -> int:
    """What a hold of `value` takes of the limit: a count grows by one, the largest and the last are replaced."""
    if aggregation == "sum":
        return value
    return int(bool(value)) if aggregation in GROWING else 0


def most(counter: Counter, now: datetime) -> int:
    """The limit with what was granted on top of it, or UNLIMITED."""
    if counter.limit == UNLIMITED:
        return UNLIMITED
    return counter.limit + (counter.extra if now < counter.extra_until else 0)


def judge(counter: Counter, value: int, now: datetime, policy: Policy) -> Verdict:
    """May `value` more be used? A hard limit refuses; what is held counts as used."""
    after = figures.value_after(counter.aggregation, counter.used, value) + counter.held
    passed = not allows(most(counter, now), after)
    if not policy.enforced:
        return Verdict(True, passed, NOT_ENFORCED)
    if now < counter.blocked_until:
        return Verdict(False, passed, f"blocked: {counter.block_reason}")
    if not passed or counter.mode != "hard":
        return Verdict(True, passed, "")
    ends = (counter.exceeded_at or now) + timedelta(seconds=policy.grace)
    if policy.grace and now < ends:  # another process's clock may be ahead of `now`
        return Verdict(True, passed, f"above the limit, within the grace period until {ends:%Y-%m-%dT%H:%M:%SZ}")
    return Verdict(False, passed, "")


def grace_ends(counter: Counter, policy: Policy) -> datetime | None:
    """Until when a hard limit that was passed still allows; None where there is no grace."""
    if counter.mode != "hard" or not policy.grace or counter.exceeded_at is None:
        return None
    return counter.exceeded_at + timedelta(seconds=policy.grace)


def lent(limit: int, taken: int, extra: int | None) -> int:
    """What an override adds to `limit`, so that there is room above what is taken already."""
    return taken - limit + (extra if extra is not None else max(1, limit // 10))


def explain(counter: Counter, raw: int, billed: int, month: Period) -> str:
    """Why the three figures of `quota compare` differ, or that they do not."""
    parts: list[str] = []
    if counter.used != raw:
        pattern = shlex.quote(f"billing:quota:{counter.user}")
        parts.append(f"the counter is wrong: nself cache clear {pattern} counts it anew")
    if counter.counted_from > counter.window_start:
        parts.append("a reset by hand: the invoice ignores it")
    if (counter.window_start, counter.window_end) != month:
        parts.append(f"the limit counts a {counter.period}, the invoice a month")
    if billed != raw and not parts:
        parts.append("events of this month were recorded between two looks")
    return "; ".join(parts) or "all agree"


def bound(counter: Counter, now: datetime) -> int | None:
    """`most` for a comparison in SQL: None is no limit."""
    found = most(counter, now)
    return None if found == UNLIMITED else found


def decision(counter: Counter, verdict: Verdict, now: datetime, reservation: str | None = None) -> Decision:
    """What is told of a counter and a verdict about it."""
    limit = most(counter, now)
    return Decision(
        user=counter.user,
        metric=counter.metric,
        allowed=verdict.allowed,
        limit=counter.limit,
        used=counter.used,
        held=counter.held,
        remaining=UNLIMITED if limit == UNLIMITED else max(0, limit - counter.used - counter.held),
        percent=percent(counter.limit, counter.used),
        state=state_word(counter.limit, counter.used),
        mode=counter.mode,
        period=counter.period,
        source=counter.source,
        resets_at=counter.window_end,
        note=_note(counter, verdict, now),
        reservation=reservation,
    )


def retold(told: Decision, counter: Counter, now: datetime) -> Decision:
    """The same decision, of a counter that was counted again."""
    fresh = decision(counter, Verdict(told.allowed, False, ""), now, told.reservation)
    return msgspec.structs.replace(fresh, note=told.note)


def _note(counter: Counter, verdict: Verdict, now: datetime) -> str:
    notes = [verdict.note] if verdict.note else []
    if counter.extra and now < counter.extra_until:
        notes.append(f"{counter.extra} above the limit until {counter.extra_until:%Y-%m-%dT%H:%M:%SZ}")
    if counter.period == "billing":
        notes.append(NO_SUBSCRIPTION)
    return "; ".join(notes)


def plain_state(one: Decision) -> QuotaState:
    return QuotaState(**{name: getattr(one, name) for name in QuotaState.__struct_fields__})


# ---- Reservations ----


def spell(user: str, id: str) -> str:
    """A reservation as the app knows it: it names the user, whose rows lie together."""
    return f"{PREFIX}{id}_{_coded(user)}"


@lru_cache(maxsize=65_536)
def _coded(user: str) -> str:
    return base64.urlsafe_b64encode(user.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def read(reservation: str) -> tuple[str, str]:
    """User and id. Raises NoSuchReservation."""
    id, _, coded = reservation.removeprefix(PREFIX).partition("_")
    try:
        user = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
    except (binascii.Error, ValueError):
        user = ""
    if (
        not reservation.startswith(PREFIX)
        or not id.isalnum()
        or not user
        or "\0" in user
        or spell(user, id) != reservation
    ):
        raise NoSuchReservation(reservation=reservation[:100])
    return user, id


def keyed(key: str) -> str:
    """The id of what a user reserves with an idempotency key: whoever repeats it asks for the same row."""
    return KEYED + hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def repeated(ask: Ask, made: Reservation, now: datetime) -> str:
    """The note for a reserve whose reservation was `made` before. Raises KeyReused where something else was asked for."""
    if (made.metric, made.value) != (ask.metric, ask.value or 0):
        raise KeyReused(key=ask.key[:100])
    state = "expired" if made.state == "held" and made.expires_at <= now else made.state
    return "" if state == "held" else f"repeated: the reservation is {state} by now"


# ---- Without the database ----


def may_be_journaled(id: str) -> bool:
    """Whether a reservation may wait in the journal: its name says so, or was made of a key. Other ids are hexadecimal."""
    return id.startswith((JOURNALED, KEYED))


def journaled(ask: Ask) -> Ask:
    """As it is kept: a reservation gets a name that tells where it is, and another one than a try that may have succeeded.

    One with a key keeps its name: it is the same reservation, whichever of the tries is entered.
    """
    if ask.kind != "reserve" or may_be_journaled(ask.id):
        return ask
    return msgspec.structs.replace(ask, id=f"{JOURNALED}{ask.id}")


def uncounted(ask: Ask, now: datetime, reservation: str | None) -> Decision:
    """Let through; nobody knows the figures."""
    return Decision(
        user=ask.user, metric=ask.metric, allowed=True, limit=UNLIMITED, used=0, held=0, remaining=UNLIMITED, percent="0.0",
        state="ok", mode="soft", period="month", source="none", resets_at=now, note=AWAY, reservation=reservation,
    )  # fmt: skip


# ---- Overage ----


def overage(limit: int, used: int) -> int:
    """Units above the limit."""
    return 0 if limit == UNLIMITED else max(0, used - limit)


def forecast(counter: Counter, now: datetime) -> int:
    """What will be used at the window's end at the pace since it began; of a gauge what it is now."""
    passed, whole = now - counter.counted_from, counter.window_end - counter.counted_from
    if counter.aggregation not in ("sum", "count") or passed <= timedelta(0) or passed >= whole:
        return counter.used
    return counter.used * (whole // MICROSECOND) // (passed // MICROSECOND)
