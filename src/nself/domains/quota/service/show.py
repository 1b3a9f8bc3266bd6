"""What stands behind a decision, to look at and to try out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nself import log
from nself.app import App
from nself.core import period
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.quota import rules, store
from nself.domains.quota.inputs import CompareQuota, ListQuotas, ShowCalculation, StatusQuota, TestEnforce
from nself.domains.quota.model import (
    Ask,
    Compared,
    Counter,
    Decision,
    Enforced,
    Key,
    QuotaStatus,
    Step,
)
from nself.domains.quota.service import counters
from nself.domains.quota.service.ask import states
from nself.domains.quota.service.counters import Place
from nself.domains.quota.service.decide import decide, policy
from nself.domains.usage.figures import Figure
from nself.domains.usage.service import aggregate, measure


def _counters(app: App, user: str, metric: str | None, now: datetime) -> list[tuple[Decision, Counter]]:
    """Each limit of a user, counted and as it stands. Raises NoSuchUser, NoSuchMetric."""
    shown = states(app, user, metric, 0, "look")
    places = [Place(Key(user, one.metric), now) for one in shown]

    def work(tx: Tx) -> dict[Place, Counter]:
        aggregate.lock_users(tx, [user])
        return counters.prepare(app, tx, places, now)

    found = app.db.transact(work) if places else {}
    return [(one, found[place]) for one, place in zip(shown, places, strict=True)]


def status(app: App, given: StatusQuota) -> list[QuotaStatus]:
    """Usage against limits at this moment, with what blocks and what is granted. Raises NoSuchUser, NoSuchMetric."""
    now, rule = app.clock(), policy(app)
    rows: list[QuotaStatus] = []
    for _, counter in _counters(app, given.user, given.metric, now):
        verdict = rules.judge(counter, 1, now, rule)
        told = rules.decision(counter, verdict, now)
        rows.append(
            QuotaStatus(
                metric=counter.metric,
                state=told.state,
                used=told.used,
                held=told.held,
                limit=told.limit,
                remaining=told.remaining,
                percent=told.percent,
                forecast=rules.forecast(counter, now),
                mode=told.mode,
                period=told.period,
                resets_at=told.resets_at,
                may_go_on=verdict.allowed,
                blocked=counter.block_reason if now < counter.blocked_until else "",
                exceeded_at=counter.exceeded_at,
                grace_until=rules.grace_ends(counter, rule),
                note=told.note,
            )
        )
    return rows + _untracked(app, given, now)


def list_quotas(app: App, given: ListQuotas) -> list[Decision]:
    """Who has used up their limits, or nearly, and who is blocked, by counters as last folded.

    A user has one since somebody asked for their quota or the sweep saw new usage of theirs, and none between a change of
    the limit, or a reset, and the next of these.
    """
    now, rule = app.clock(), policy(app)
    with app.db.reading() as tx:
        found = store.used_up(tx, now, given.metric, given.percent, given.limit)
    return [rules.decision(one, rules.judge(one, 1, now, rule), now) for one in found]


def _untracked(app: App, given: StatusQuota, now: datetime) -> list[QuotaStatus]:
    """Limits on what usage-metrics.yml does not have: they are never reached."""
    known = catalog.metric_file(app).metrics
    with app.db.reading() as tx:
        found = [one for one in counters.effective_limits(app, tx, [given.user]) if one.metric not in known]
    return [
        QuotaStatus(
            metric=one.metric, state="not tracked", used=0, held=0, limit=one.limit, remaining=one.limit, percent="0.0", forecast=0, mode=one.mode,
            period=one.period, resets_at=rules.window(now, one.period, app.timezone).end, may_go_on=False, blocked="",
            exceeded_at=None, grace_until=None, note="usage-metrics.yml does not have this metric: nothing of it is counted",
        )
        for one in found
        if given.metric is None
    ]  # fmt: skip


def _figure(found: Sequence[Figure]) -> int:
    return found[0].value if found else 0


def compare(app: App, given: CompareQuota) -> list[Compared]:
    """The counter, the raw events it stands for, and what an invoice would count. Raises NoSuchUser, NoSuchMetric."""
    rows: list[Compared] = []
    now = app.clock()
    for _, counter in _counters(app, given.user, given.metric, now):
        since = _since(app, counter, now)
        span = Period(since, counter.window_end)
        month = period.containing(now, "month", app.timezone)
        of_counter = {counter.metric: catalog.metrics_at(app, counter.window_start)[counter.metric]}
        with app.db.reading() as tx:
            raw = _figure(measure.recount(tx, [given.user], span, of_counter, now))
            of_month = measure.metrics_of(app, tx, month, counter.metric)
            billed = _figure(measure.measure(tx, [given.user], month, of_month, now))
        rows.append(
            Compared(
                metric=counter.metric,
                period=counter.period,
                counted_from=counter.counted_from,
                counter=counter.used,
                raw_events=raw,
                difference=counter.used - raw,
                invoice=billed,
                invoice_from=month.start,
                why=rules.explain(counter, raw, billed, month)
                if since == counter.counted_from
                else f"the counter was not cleared after the reset at {_at(since)}: nself cache clear billing:quota:{given.user}",
            )
        )
    return rows


def _since(app: App, counter: Counter, now: datetime) -> datetime:
    """From when a counter has to count: its window's start, or the last reset in it."""
    with app.db.reading() as tx:
        (around,) = store.circumstances(tx, [counter.key], [counter.window_end], now)
    return max(counter.window_start, around.reset_at or counter.window_start)


def show_calculation(app: App, given: ShowCalculation) -> list[Step]:
    """The arithmetic of each limit, line by line. Raises NoSuchUser, NoSuchMetric."""
    now = app.clock()
    return [step for _, counter in _counters(app, given.user, given.metric, now) for step in _steps(counter, now)]


def _steps(counter: Counter, now: datetime) -> list[Step]:
    def step(figure: str, value: object, how: str) -> Step:
        return Step(metric=counter.metric, figure=figure, value=str(value), how=how)

    limit = rules.most(counter, now)
    extra = limit - counter.limit
    reset = counter.counted_from > counter.window_start
    rows = [
        step("period", counter.period, f"from {_at(counter.window_start)} to {_at(counter.window_end)}"),
        step("counted_from", _at(counter.counted_from), "the last reset" if reset else "the period's start"),
        step("used", counter.used, f"{counter.aggregation} of the events from then on"),
        step("held", counter.held, "reserved and neither committed, released nor expired"),
        step("limit", counter.limit, f"{counter.source}, {counter.mode}"),
        step("extra", extra, f"granted by unblock until {_at(counter.extra_until)}" if extra else "none granted"),
    ]
    if limit < 0:
        return [*rows, step("remaining", limit, "no limit")]
    left = limit - counter.used - counter.held
    how = f"{counter.limit} + {extra} - {counter.used} - {counter.held}" + (
        f" = {left}, not below 0" if left < 0 else ""
    )
    share = f"{counter.used} x 100 / {counter.limit}, cut off after one digit"
    return [
        *rows,
        step("remaining", max(0, left), how),
        step("percent", rules.percent(counter.limit, counter.used), share),
    ]


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def test_enforce(app: App, given: TestEnforce) -> list[Enforced]:
    """Ask for what is left and for one unit more, without taking anything. Raises NoSuchUser, NoSuchMetric."""
    rows: list[Enforced] = []
    for one in states(app, given.user, given.metric, 0, "look"):
        if one.limit < 0:
            rows.append(_unlimited(one))
            continue
        if catalog.metrics_at(app, app.clock())[one.metric].aggregation != "sum":
            continue
        fits, over = decide(
            app,
            [
                Ask(kind="look", user=given.user, metric=one.metric, value=value)
                for value in (one.remaining, one.remaining + 1)
            ],
        )
        assert isinstance(fits, Decision) and isinstance(over, Decision)
        expected = one.mode != "hard"
        log.info(
            "quota_enforcement",
            user=given.user, metric=one.metric, limit=one.limit, used=one.used, value=one.remaining + 1,
            allowed=over.allowed, kind="test-enforce",
        )  # fmt: skip
        rows.append(
            Enforced(
                metric=one.metric,
                mode=one.mode,
                limit=one.limit,
                used=one.used,
                remaining=one.remaining,
                what_fits="allowed" if fits.allowed else "refused",
                one_more="allowed" if over.allowed else "refused",
                enforced=over.allowed == expected,
                note=over.note or ("" if one.mode == "hard" else f"a {one.mode} limit refuses nothing"),
            )
        )
    return rows


def _unlimited(one: Decision) -> Enforced:
    return Enforced(
        metric=one.metric,
        mode=one.mode,
        limit=one.limit,
        used=one.used,
        remaining=one.remaining,
        what_fits="allowed",
        one_more="allowed",
        enforced=False,
        note="unlimited: nothing is ever refused",
    )


def sweep(app: App) -> str:
    """The job quota_sweep: end expired holds, forget old reservations, count users with new usage and tell thresholds."""
    now, ended, seen = app.clock(), 0, 0
    with app.db.reading() as tx:
        holders = store.expired_holders(tx, now, MAX_USERS)
        fresh = aggregate.pending_users(tx, MAX_USERS)
    for start in range(0, len(holders), CHUNK):
        users = holders[start : start + CHUNK]
        ended += app.db.transact(lambda tx, users=users: _end(tx, users, now))
    for start in range(0, len(fresh), CHUNK):
        seen += _look(app, fresh[start : start + CHUNK])
    forgotten = 0
    if app.journal.idle():  # else it may have the end of one
        forgotten = app.db.transact(lambda tx: store.forget_reservations(tx, now - rules.KEPT))
    return f"{ended} holds expired, {seen} limits looked at, {forgotten} reservations forgotten"


CHUNK, MAX_USERS = 500, 100_000


def _end(tx: Tx, users: Sequence[str], now: datetime) -> int:
    aggregate.lock_users(tx, users)
    return counters.end_holds(tx, users, now)


def _look(app: App, users: Sequence[str]) -> int:
    """Thresholds are told by whoever looks; a check of nothing looks."""
    metrics = catalog.metered(app)
    with app.db.reading() as tx:
        limits = [one for one in counters.effective_limits(app, tx, users) if one.metric in metrics and one.limit >= 0]
    if limits:
        decide(app, [Ask(kind="look", user=one.user, metric=one.metric, value=0) for one in limits])
    return len(limits)
