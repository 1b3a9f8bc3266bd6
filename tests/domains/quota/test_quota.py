"""Limits: whose, how much is left, and who may go on."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import Protocol

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import fresh, people, steady
from nself.app import App
from nself.cli import main as cli
from nself.core.errors import BillingError
from nself.core.period import Period
from nself.domains.quota import rules
from nself.domains.quota.inputs import (
    BlockUser,
    CheckQuota,
    CheckUser,
    ClearCache,
    CompareQuota,
    ListQuotas,
    SetQuota,
    ShowQuota,
)
from nself.domains.quota.inputs import TestEnforce as Enforce
from nself.domains.quota.model import Counter, Policy, QuotaState
from nself.domains.quota.service import ask as asking
from nself.domains.quota.service import block, cache, limits, show
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import aggregate, record

SPAN = Period(datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))


class Clock(Protocol):
    now: datetime


class AppWith(Protocol):
    def __call__(self, **settings: str) -> App: ...


def use(app: App, user: str, value: int, metric: str = "calls", at: str | None = None) -> None:
    assert not record.ingest(app, [UsageEvent(user=user, metric=metric, value=value, at=at)], "test").refused


def limit(app: App, user: str | None, most: int, metric: str = "calls", **more: str) -> None:
    limits.set_quota(app, SetQuota(user=user, metric=metric, limit=most, **more))  # type: ignore[arg-type]


def ask(app: App, user: str, value: int = 1, metric: str = "calls") -> QuotaState:
    return asking.check(app, CheckQuota(user=user, metric=metric, value=value))


# how much


def test_exactly_at_the_limit_is_allowed_and_the_next_unit_is_not(app: App) -> None:
    (user,) = people(app)
    limit(app, user, 10)
    use(app, user, 9)
    assert [ask(app, user, value).allowed for value in (0, 1, 2)] == [True, True, False]
    use(app, user, 1)
    assert [ask(app, user, value).allowed for value in (0, 1)] == [True, False]


def test_who_has_used_up_most_comes_first_and_who_has_room_does_not_come(app: App) -> None:
    found = people(app, *(fresh() for _ in range(4)))
    for user, used in zip(found, (10, 79, 200, 80), strict=True):
        limit(app, user, 100, mode="soft")
        use(app, user, used)
        ask(app, user)
    block.block(app, BlockUser(user=found[0], metric="calls", reason="asked us to"))
    ask(app, found[0])
    aggregate.aggregate(app)
    rows = [row for row in show.list_quotas(app, ListQuotas(metric="calls")) if row.user in found]
    assert [(row.user, row.used, row.percent, row.state, row.allowed) for row in rows] == [
        (found[2], 200, "200.0", "exceeded", True),
        (found[3], 80, "80.0", "warning", True),
        (found[0], 10, "10.0", "ok", False),
    ]
    assert rows[2].note == "blocked: asked us to"
    late = people(app, fresh())[0]
    limit(app, late, 100)
    use(app, late, 300)
    assert late not in [row.user for row in show.list_quotas(app, ListQuotas())]
    show.sweep(app)  # nobody asked
    assert late in [row.user for row in show.list_quotas(app, ListQuotas())]
    over = show.list_quotas(app, ListQuotas(metric="calls", percent=101))
    assert [row.user for row in over if row.user in found] == [found[2], found[0]]
    assert show.list_quotas(app, ListQuotas(metric="other")) == []


def test_what_is_not_folded_yet_is_used_up_too(app: App) -> None:
    (user,) = people(app)
    limit(app, user, 10)
    use(app, user, 10)
    before = ask(app, user)
    aggregate.aggregate(app)
    assert before == ask(app, user)
    assert (before.used, before.remaining, before.percent, before.state) == (10, 0, "100.0", "warning")


def test_unlimited_allows_everything_and_zero_allows_nothing(app: App) -> None:
    (user,) = people(app)
    use(app, user, 10**15)
    limit(app, user, -1)
    assert (ask(app, user, 10**15).allowed, ask(app, user).remaining) == (True, -1)
    limit(app, user, 0)
    assert [ask(app, user, value).allowed for value in (0, 1)] == [False, False]
    (other,) = people(app)
    limit(app, other, 0)
    assert [ask(app, other, value).allowed for value in (0, 1)] == [True, False]


def test_a_metric_without_any_limit_is_unlimited_and_nobodys(app: App) -> None:
    (user,) = people(app)
    found = ask(app, user, 10**15)
    assert (found.allowed, found.limit, found.source) == (True, -1, "none")


@pytest.mark.parametrize("mode", ["soft", "overage"])
def test_only_a_hard_limit_refuses(app: App, mode: str) -> None:
    (user,) = people(app)
    limit(app, user, 1, mode=mode)
    use(app, user, 5)
    found = ask(app, user)
    assert (found.allowed, found.remaining, found.state, found.mode) == (True, 0, "exceeded", mode)


@pytest.mark.parametrize(("metric", "used"), [("calls", 12), ("logins", 3), ("peak", 7), ("seats", 2)])
def test_each_metric_is_used_up_as_it_adds_up(app: App, metric: str, used: int) -> None:
    (user,) = people(app)
    limit(app, user, 100, metric)
    for hour, value in ((8, 3), (9, 7), (10, 2)):
        use(app, user, value, metric, f"2026-02-10T{hour:02}:00:00Z")
    assert ask(app, user, metric=metric).used == used


@pytest.mark.parametrize(
    ("metric", "fits", "too_much"), [("calls", 5, 6), ("logins", 10**6, None), ("peak", 8, 9), ("seats", 8, 9)]
)
def test_a_check_asks_what_recording_the_value_would_make_of_the_usage(
    app: App, metric: str, fits: int, too_much: int | None
) -> None:
    """A count grows by one whatever the value; the largest and the last are replaced, not added to."""
    (user,) = people(app)
    limit(app, user, 8, metric)
    use(app, user, 3, metric)
    assert ask(app, user, fits, metric).allowed
    assert too_much is None or not ask(app, user, too_much, metric).allowed


@steady(300)
@given(
    st.integers(-1, 10**18),
    st.integers(0, 10**18),
    st.integers(0, 10**15),
    st.sampled_from(["hard", "soft", "overage"]),
    st.booleans(),
)
def test_a_judgement_agrees_with_itself(most: int, used: int, value: int, mode: str, enforced: bool) -> None:
    counter = Counter(
        user="u", metric="m", window_start=SPAN.start, window_end=SPAN.end, counted_from=SPAN.start, aggregation="sum", used=used,
        held=0, expires_next=rules.NEVER, limit=most, period="month", mode=mode, source="user", extra_until=rules.LONG_AGO,
        blocked_until=rules.LONG_AGO,
    )  # type: ignore[arg-type]  # fmt: skip
    policy = Policy(enforced=enforced, grace=0, lease=300, thresholds=(50, 80, 100))
    verdict = rules.judge(counter, value, SPAN.start, policy)
    found = rules.decision(counter, verdict, SPAN.start)
    fits = most == -1 or used + value <= most
    assert found.allowed == (fits or mode != "hard" or not enforced)
    assert verdict.passed == (not fits)
    assert found.remaining == (-1 if most == -1 else max(0, most - used))
    assert rules.overage(most, used) == (0 if most == -1 else max(0, used - most))
    assert (float(found.percent) >= 100) == (most != -1 and used >= most and used > 0)
    assert (found.state == "exceeded") == (most != -1 and used > most)


# whose


def test_a_users_own_limit_comes_before_the_plans(app: App) -> None:
    own, plain = people(app, fresh(), fresh())
    limits.set_quota(app, SetQuota(plan="free", metric="api_calls", limit=10_000))
    limit(app, own, 20_000, "api_calls")
    assert [
        (one.limit, one.source) for one in (ask(app, own, metric="api_calls"), ask(app, plain, metric="api_calls"))
    ] == [
        (20_000, "user"),
        (10_000, "plan free"),
    ]
    limit(app, own, 5, "api_calls", period="day", mode="soft")
    found = ask(app, own, metric="api_calls")
    assert (found.limit, found.period, found.mode) == (5, "day", "soft")


def test_another_users_usage_and_limits_do_not_matter(app: App) -> None:
    user, other = people(app, fresh(), fresh())
    limit(app, user, 5)
    limit(app, other, 1)
    use(app, other, 5)
    assert (ask(app, user, 5).allowed, ask(app, other).allowed) == (True, False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (SetQuota(metric="calls", limit=1), "Give either --user or --plan"),
        (SetQuota(metric="calls", limit=1, user="u", plan="free"), "Give either --user or --plan"),
        (SetQuota(metric="no", limit=1, user="u"), "No such metric: no"),
        (SetQuota(metric="calls", limit=1, user="nobody"), "No such user: nobody"),
        (SetQuota(metric="calls", limit=1, plan="gold"), "No such plan: gold"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(app: App, given: SetQuota, words: str) -> None:
    with pytest.raises(BillingError, match=words):
        limits.set_quota(app, given)


# when


def test_a_period_begins_anew_at_its_end_and_not_before(app: App, clock: Clock) -> None:
    (user,) = people(app)
    limit(app, user, 1, period="day")
    use(app, user, 1)
    clock.now = datetime(2026, 2, 10, 23, 59, 59, 999999, tzinfo=UTC)
    found = ask(app, user)
    assert (found.allowed, found.resets_at) == (False, datetime(2026, 2, 11, tzinfo=UTC))
    clock.now += timedelta(microseconds=1)
    assert ask(app, user).allowed


def test_a_day_of_23_hours_ends_an_hour_earlier(app_with: AppWith, clock: Clock) -> None:
    app = app_with(BILLING_TIMEZONE="Europe/Berlin")
    (user,) = people(app)
    limit(app, user, 1, period="day")
    clock.now = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # 00:00 of 29 March in Berlin
    use(app, user, 1)
    found = ask(app, user)
    assert (found.allowed, found.resets_at) == (False, datetime(2026, 3, 29, 22, tzinfo=UTC))
    clock.now = found.resets_at
    assert ask(app, user).allowed


def test_an_hour_that_begins_inside_the_month_of_a_half_hour_zone(app_with: AppWith, clock: Clock) -> None:
    app = app_with(BILLING_TIMEZONE="Asia/Kolkata")
    (user,) = people(app)
    limit(app, user, 10)
    clock.now = datetime(2026, 2, 28, 18, 45, tzinfo=UTC)
    use(app, user, 4, at="2026-02-28T18:29:59Z")
    use(app, user, 5, at="2026-02-28T18:30:00Z")
    aggregate.aggregate(app)
    assert ask(app, user).used == 5


# the commands


def test_enforcement_switched_off_allows_and_says_so(app_with: AppWith) -> None:
    app = app_with(QUOTA_ENFORCEMENT_ENABLED="false")
    (user,) = people(app)
    limit(app, user, 0)
    found = asking.check_user(app, CheckUser(user=user, metric="calls"))
    assert found.allowed
    assert found.note == "QUOTA_ENFORCEMENT_ENABLED is false: everything is allowed"
    assert not asking.check_user(app_with(), CheckUser(user=user, metric="calls")).allowed


def test_within_the_grace_period_a_limit_that_was_passed_still_allows(app_with: AppWith, clock: Clock) -> None:
    app = app_with(BILLING_QUOTA_GRACE_PERIOD="1h")
    (user,) = people(app)
    limit(app, user, 10)
    use(app, user, 11)
    assert ask(app, user).allowed and not ask(app_with(BILLING_QUOTA_GRACE_PERIOD="0s"), user).allowed
    clock.now += timedelta(minutes=59)
    assert ask(app, user).allowed
    clock.now += timedelta(minutes=1)
    assert not ask(app, user).allowed


def test_enforcement_of_an_unlimited_metric_is_shown_as_none(app: App) -> None:
    (user,) = people(app)
    limit(app, user, -1)
    (found,) = show.test_enforce(app, Enforce(user=user, metric="calls"))
    assert (found.limit, found.enforced, found.note) == (-1, False, "unlimited: nothing is ever refused")


def test_a_wrong_counter_is_told_with_the_command_that_mends_it(app: App) -> None:
    (user,) = people(app, fresh("wrong counter's "))
    limit(app, user, 10)
    use(app, user, 4)
    assert ask(app, user).used == 4
    with psycopg.connect(app.db.conninfo, autocommit=True) as link:
        link.execute("update billing.billing_quota_counters set used = 9 where user_id = %s", (user,))
    (found,) = show.compare(app, CompareQuota(user=user, metric="calls"))
    assert (found.counter, found.raw_events) == (9, 4)
    line = found.why.removeprefix("the counter is wrong: nself cache clear ").removesuffix(" counts it anew")
    assert cache.clear(app, ClearCache(pattern=shlex.split(line)[0])).counters == 1
    assert ask(app, user).used == 4


def test_a_check_of_all_metrics_is_refused_by_one(app: App) -> None:
    (user,) = people(app)
    limit(app, user, 1, "calls")
    limit(app, user, 1, "logins")
    assert asking.check_user(app, CheckUser(user=user)).allowed
    use(app, user, 1, "logins")
    found = asking.check_user(app, CheckUser(user=user))
    assert [one.metric for one in found.quotas if not one.allowed] == ["logins"]
    assert not found.allowed


def test_show_lists_the_limits_in_force(app: App) -> None:
    (user,) = people(app)
    limit(app, user, 3)
    shown = {one.metric: one.source for one in asking.show(app, ShowQuota(user=user))}
    assert shown == {"calls": "user", "api_calls": "plan free", "bandwidth": "plan free"}


def test_the_command_exits_with_3_where_a_hard_limit_refuses(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (user,) = people(app)
    monkeypatch.setenv("DATABASE_URL", app.db.conninfo)

    def nself(*words: str) -> tuple[int, str]:
        code = cli.run(["--project", str(app.project.root), "billing", "quota", *words])
        return code, capsys.readouterr().out

    assert nself("set", "--user", user, "--metric", "calls", "--limit", "2", "--period", "monthly")[0] == 0
    assert nself("check", "--user", user, "--metric", "calls", "--value", "2")[0] == 0
    code, out = nself("check", "--user", user, "--metric", "calls", "--value", "3", "--format", "json")
    assert (code, json.loads(out)["allowed"]) == (3, False)
    assert nself("show", "--user", user)[1].count("calls") >= 1
    assert nself("check", "--user", "nobody")[0] == 1
    assert nself("set", "--user", user, "--metric", "calls", "--limit", "-2")[0] == 2
