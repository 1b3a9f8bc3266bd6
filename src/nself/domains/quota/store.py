"""One function a query of quotas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from nself.core.period import Period
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.quota.facts import Contrary, CountedAfterEnd, Exceeded, Left, Limited, Locked, Subscriber
from nself.domains.quota.model import (
    NEVER,
    Ask,
    Circumstance,
    Counter,
    Key,
    Limit,
    Mode,
    Notice,
    Override,
    Reservation,
    Reset,
    Row,
    Subscribed,
    Window,
)

SQL = beside(__file__)


class Frame(NamedTuple):
    """What must be true of a counter that decides without a second look: `windows` by period, `levels` in percent."""

    now: datetime
    windows: dict[Window, Period]
    levels: tuple[int, ...]


class Wanted(NamedTuple):
    """Units of one limit that several requests ask for together; `places` are theirs in the group, `each` what they take."""

    key: Key
    aggregation: str
    places: list[int]
    each: list[int]


class Ready(NamedTuple):
    """A counter as it was when what is asked for in place `n`, counted from 1, was granted."""

    n: int
    used: int
    held: int
    limit: int
    mode: Mode
    period: Window
    source: str
    resets_at: datetime


def set_user(tx: Tx, user: str, metric: str, limit: int, period: str, mode: str, now: datetime) -> None:
    tx.run(SQL["set_user"], user=user, metric=metric, limit=limit, period=period, mode=mode, now=now)


def set_plan(tx: Tx, plan: str, metric: str, limit: int, period: str, mode: str, now: datetime) -> None:
    tx.run(SQL["set_plan"], plan=plan, metric=metric, limit=limit, period=period, mode=mode, now=now)


def limits(tx: Tx, users: Sequence[str], plans: Sequence[str], metric: str | None) -> list[Limit]:
    """Effective limits, by user and metric, where each user has the plan of the same place."""
    return tx.all(SQL["limits"], Limit, users=list(users), plans=list(plans), metric=metric)


def subscribed(tx: Tx, users: Sequence[str], livemode: bool, since: datetime) -> list[Subscribed]:
    return tx.all(SQL["subscribed"], Subscribed, users=list(users), livemode=livemode, since=since)


def counters(tx: Tx, keys: Sequence[Key], instants: Sequence[datetime]) -> list[Counter]:
    """Those that are there and not stale, for the windows that hold the instants."""
    found = tx.all(
        SQL["counters"],
        Counter,
        users=[key.user for key in keys],
        metrics=[key.metric for key in keys],
        instants=list(instants),
    )
    return _whole(found)


def used_up(tx: Tx, now: datetime, metric: str | None, percent: int, limit: int) -> list[Counter]:
    """Counters of this moment of which so much is used or held, or that are blocked; what is used up most comes first."""
    return _whole(tx.all(SQL["used_up"], Counter, now=now, metric=metric, percent=percent, limit=limit))


def _whole(found: list[Counter]) -> list[Counter]:
    for counter in found:
        counter.used, counter.held = int(counter.used), int(counter.held)
    return found


def put_counters(tx: Tx, counters: Sequence[Counter]) -> None:
    """Replace, with nothing held."""
    tx.run(
        SQL["put_counters"],
        users=[one.user for one in counters],
        metrics=[one.metric for one in counters],
        starts=[one.window_start for one in counters],
        ends=[one.window_end for one in counters],
        **{"from": [one.counted_from for one in counters]},
        aggregations=[one.aggregation for one in counters],
        used=[one.used for one in counters],
        limits=[one.limit for one in counters],
        periods=[one.period for one in counters],
        modes=[one.mode for one in counters],
        sources=[one.source for one in counters],
        extras=[one.extra for one in counters],
        extra_until=[one.extra_until for one in counters],
        blocked_until=[one.blocked_until for one in counters],
        block_reasons=[one.block_reason for one in counters],
        never=NEVER,
    )


def retire_counters(tx: Tx, counters: Sequence[Counter], instants: Sequence[datetime]) -> None:
    tx.run(
        SQL["retire_counters"],
        users=[one.user for one in counters],
        metrics=[one.metric for one in counters],
        starts=[one.window_start for one in counters],
        instants=list(instants),
    )


def recount_holds(tx: Tx, keys: Sequence[Key]) -> None:
    tx.run(SQL["recount_holds"], users=[key.user for key in keys], metrics=[key.metric for key in keys], never=NEVER)


def circumstances(tx: Tx, keys: Sequence[Key], ends: Sequence[datetime], now: datetime) -> list[Circumstance]:
    """One for each key."""
    return tx.all(
        SQL["circumstances"],
        Circumstance,
        users=[key.user for key in keys],
        metrics=[key.metric for key in keys],
        ends=list(ends),
        now=now,
    )


def grant_holds(
    tx: Tx, counters: Sequence[Counter], amounts: Sequence[int], most: Sequence[int | None], expires_at: datetime
) -> int:
    """Number of counters that had room; each stands there once."""
    return tx.run(
        SQL["grant_holds"],
        users=[one.user for one in counters],
        metrics=[one.metric for one in counters],
        starts=[one.window_start for one in counters],
        amounts=list(amounts),
        most=list(most),
        expire=[expires_at] * len(counters),
    )


def reserve_ready(
    tx: Tx, wanted: Sequence[Wanted], asks: Sequence[Ask], frame: Frame, expires_at: datetime
) -> list[Ready]:
    """Grant what needs no second look, each of `wanted` whole or not at all; those that were granted."""
    taken = [
        (asks[at], amount, n)
        for n, one in enumerate(wanted, 1)
        for at, amount in zip(one.places, one.each, strict=True)
    ]
    return tx.each(
        SQL["reserve_ready"],
        Ready,
        **_asked(wanted, frame),
        amounts=[sum(one.each) for one in wanted],
        expires_at=expires_at,
        ids=[ask.id for ask, _, _ in taken],
        values=[ask.value or 0 for ask, _, _ in taken],
        each=[amount for _, amount, _ in taken],
        places=[n for _, _, n in taken],
    )


def check_ready(tx: Tx, wanted: Sequence[Wanted], frame: Frame) -> list[Ready]:
    """Those of which the most that is asked for has room and needs no second look."""
    amounts = [max(one.each) for one in wanted]
    return tx.each(SQL["check_ready"], Ready, **_asked(wanted, frame), amounts=amounts)


def _asked(wanted: Sequence[Wanted], frame: Frame) -> dict[str, object]:
    return {
        "users": [one.key.user for one in wanted],
        "metrics": [one.key.metric for one in wanted],
        "aggregations": [one.aggregation for one in wanted],
        "now": frame.now,
        "periods": list(frame.windows),
        "starts": [span.start for span in frame.windows.values()],
        "ends": [span.end for span in frame.windows.values()],
        "levels": list(frame.levels),
    }


def add_reservations(tx: Tx, made: Sequence[Reservation]) -> None:
    """COPY's lines as they are: names are printable (queries.sql)."""
    spans = {one: "\t".join(map(str, one)) for one in {_span(one) for one in made}}
    lines = [
        f"{one.user}\t{one.id}\t{one.metric}\t{one.value}\t{one.amount}\t{spans[_span(one)]}\theld\n" for one in made
    ]
    tx.copy(SQL["add_reservations"], "".join(lines).encode())


def _span(one: Reservation) -> tuple[datetime, datetime, datetime]:
    return one.window_start, one.reserved_at, one.expires_at


def reservations(tx: Tx, users: Sequence[str], ids: Sequence[str]) -> list[Reservation]:
    return tx.all(SQL["reservations"], Reservation, users=list(users), ids=list(ids))


def settle_reservations(tx: Tx, settled: Sequence[tuple[Reservation, str, int]], now: datetime) -> None:
    """Each with its new state and the value that was used."""
    tx.run(
        SQL["settle_reservations"],
        users=[one.user for one, _, _ in settled],
        ids=[one.id for one, _, _ in settled],
        states=[state for _, state, _ in settled],
        given=[value for _, _, value in settled],
        now=now,
    )


def give_back(tx: Tx, ended: Sequence[Reservation]) -> None:
    tx.run(
        SQL["give_back"],
        users=[one.user for one in ended],
        metrics=[one.metric for one in ended],
        amounts=[one.amount for one in ended],
        reserved=[one.reserved_at for one in ended],
    )


def expire_holds(tx: Tx, users: Sequence[str], now: datetime) -> list[Key]:
    """Whose holds ended."""
    return tx.all(SQL["expire_holds"], Key, users=list(users), now=now)


def note_counters(tx: Tx, noted: Sequence[tuple[Counter, datetime | None, int]]) -> None:
    """When a limit was first passed, and the highest threshold that was told."""
    tx.run(
        SQL["note_counters"],
        users=[one.user for one, _, _ in noted],
        metrics=[one.metric for one, _, _ in noted],
        starts=[one.window_start for one, _, _ in noted],
        exceeded=[at for _, at, _ in noted],
        warned=[level for _, _, level in noted],
    )


def add_notices(tx: Tx, noted: Sequence[tuple[Counter, int]], now: datetime) -> list[Notice]:
    """Those that were not there."""
    return tx.all(
        SQL["add_notices"],
        Notice,
        users=[one.user for one, _ in noted],
        metrics=[one.metric for one, _ in noted],
        starts=[one.window_start for one, _ in noted],
        levels=[level for _, level in noted],
        used=[one.used for one, _ in noted],
        limits=[one.limit for one, _ in noted],
        now=now,
    )


def stale_counters(tx: Tx, users: Sequence[str], metric: str) -> int:
    return tx.run(SQL["stale_counters"], users=list(users), metric=metric)


def stale_plan(tx: Tx, metric: str) -> int:
    return tx.run(SQL["stale_plan"], metric=metric)


def add_reset(tx: Tx, user: str, metric: str, now: datetime, actor: str, reason: str) -> None:
    tx.run(SQL["add_reset"], user=user, metric=metric, now=now, actor=actor, reason=reason)


def reset_everybody(tx: Tx, now: datetime, actor: str, reason: str) -> int:
    return tx.run(SQL["reset_everybody"], now=now, actor=actor, reason=reason)


def stale_everybody(tx: Tx) -> int:
    return tx.run(SQL["stale_everybody"])


def count_users(tx: Tx) -> int:
    return int(tx.value(SQL["count_users"]))


def resets(tx: Tx, user: str) -> list[Reset]:
    """Newest first."""
    return tx.all(SQL["resets"], Reset, user=user)


def ended_counters(tx: Tx, before: datetime, limit: int) -> list[Row]:
    return tx.all(SQL["ended_counters"], Row, before=before, limit=limit)


def _named(rows: Sequence[Row]) -> dict[str, list[object]]:
    return {
        "users": [one.user for one in rows],
        "metrics": [one.metric for one in rows],
        "starts": [one.window_start for one in rows],
    }


def drop_counters(tx: Tx, rows: Sequence[Row]) -> int:
    return tx.run(SQL["drop_counters"], **_named(rows))


def stale_ended(tx: Tx, rows: Sequence[Row]) -> int:
    return tx.run(SQL["stale_ended"], **_named(rows))


def hours_of_resets(tx: Tx, span: Period) -> list[datetime]:
    return tx.values(SQL["hours_of_resets"], start=span.start, end=span.end)


def counted_users(tx: Tx) -> list[str]:
    return tx.values(SQL["counted_users"])


def put_block(tx: Tx, user: str, metric: str, reason: str, actor: str, now: datetime, until: datetime) -> None:
    tx.run(SQL["put_block"], user=user, metric=metric, reason=reason, actor=actor, now=now, until=until)


def clear_blocks(tx: Tx, user: str, metric: str) -> int:
    return tx.run(SQL["clear_blocks"], user=user, metric=metric)


def put_override(tx: Tx, user: str, one: Override, now: datetime, actor: str, reason: str) -> None:
    tx.run(
        SQL["put_override"],
        user=user, metric=one.metric, extra=one.extra, now=now, until=one.expires_at, actor=actor, reason=reason,
    )  # fmt: skip


def journal_settled_at(tx: Tx, journal: str) -> datetime | None:
    return tx.value(SQL["journal_settled_at"], journal=journal)


def expired_holders(tx: Tx, now: datetime, limit: int) -> list[str]:
    """Users with a hold that is over."""
    return tx.values(SQL["expired_holders"], now=now, limit=limit)


def forget_reservations(tx: Tx, before: datetime) -> int:
    return tx.run(SQL["forget_reservations"], before=before)


def contrary_limits(tx: Tx, times: int, limit: int) -> list[Contrary]:
    """Newest first."""
    return tx.all(SQL["contrary_limits"], Contrary, times=times, limit=limit)


def limited_metrics(tx: Tx) -> list[Limited]:
    return tx.all(SQL["limited_metrics"], Limited)


def exceeded(tx: Tx, now: datetime, limit: int) -> list[Exceeded]:
    """Furthest above first."""
    return tx.all(SQL["exceeded"], Exceeded, now=now, limit=limit)


def left_counters(tx: Tx, now: datetime, unsubscribed: str, limit: int) -> list[Left]:
    return tx.all(SQL["left_counters"], Left, now=now, unsubscribed=unsubscribed, limit=limit)


def locked(tx: Tx, seconds: int) -> Locked | None:
    return tx.maybe(SQL["locked"], Locked, seconds=seconds)


def counted_after_end(
    tx: Tx, user: str | None, since: datetime, now: datetime, unsubscribed: str, livemode: bool, limit: int
) -> list[CountedAfterEnd]:
    """Of subscriptions that ended after `since`; of one user, or of all."""
    return tx.all(
        SQL["counted_after_end"], CountedAfterEnd, user=user, since=since, now=now, unsubscribed=unsubscribed,
        livemode=livemode, limit=limit,
    )  # fmt: skip


def subscribers(tx: Tx, subscription: str | None) -> list[Subscriber]:
    return tx.all(SQL["subscribers"], Subscriber, subscription=subscription)
