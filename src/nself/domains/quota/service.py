"""Limits, and what is left of them. Usage is read exactly: rollups and what is not folded yet."""

from __future__ import annotations

from collections.abc import Sequence

from nself import log
from nself.app import App
from nself.core import period
from nself.core.period import UNITS
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.customer import service as customer
from nself.domains.quota import rules, store
from nself.domains.quota.inputs import CheckQuota, CheckUser, SetQuota, ShowQuota
from nself.domains.quota.model import PLANS, UNLIMITED, Limit, NoSuchPlan, QuotaState, SetResult, UserCheck, WhoseQuota
from nself.domains.usage import rules as usage_rules
from nself.domains.usage.service import show as usage

DEFAULT_PLAN = "free"


def set_quota(app: App, given: SetQuota) -> SetResult:
    """Raises WhoseQuota, NoSuchUser, NoSuchPlan, NoSuchMetric."""
    if (given.user is None) == (given.plan is None):
        raise WhoseQuota()
    catalog_rules.require(catalog.metric_file(app), given.metric)
    unit, now = UNITS[given.period], app.clock()
    if given.user is not None:
        customer.require_user(app, given.user)
        with app.db.transaction() as tx:
            store.set_user(tx, given.user, given.metric, given.limit, unit, given.mode, now)
    else:
        if given.plan not in PLANS:
            raise NoSuchPlan(plan=given.plan)
        with app.db.transaction() as tx:
            store.set_plan(tx, given.plan, given.metric, given.limit, unit, given.mode, now)
    target = f"user {given.user}" if given.user else f"plan {given.plan}"
    log.info("quota_set", target=target, metric=given.metric, limit=given.limit, period=unit, mode=given.mode)
    return SetResult(target=target, metric=given.metric, limit=given.limit, period=unit, mode=given.mode)


def show(app: App, given: ShowQuota) -> list[QuotaState]:
    """Each metric's limit and what is left. Raises NoSuchUser, NoSuchMetric."""
    return _states(app, given.user, given.metric, value=0)


def check_user(app: App, given: CheckUser) -> UserCheck:
    """Whether `value` more units of each metric are allowed."""
    states = _states(app, given.user, given.metric, given.value)
    allowed = all(state.allowed for state in states)
    note = (
        ""
        if app.settings.flag("QUOTA_ENFORCEMENT_ENABLED")
        else "QUOTA_ENFORCEMENT_ENABLED is false: everything is allowed"
    )
    return UserCheck(user=given.user, allowed=allowed, note=note, quotas=states)


def check(app: App, given: CheckQuota) -> QuotaState:
    """One metric; a metric without a limit is unlimited. Raises NoSuchUser, NoSuchMetric."""
    states = _states(app, given.user, given.metric, given.value)
    return states[0]


def _states(app: App, user: str, metric: str | None, value: int) -> list[QuotaState]:
    file = catalog.metric_file(app)
    if metric is not None:
        catalog_rules.require(file, metric)
    customer.require_user(app, user)
    with app.db.reading() as tx:
        limits = [limit for limit in effective_limits(tx, [user], metric) if limit.metric in file.metrics]
        if metric is not None and not limits:
            limits = [Limit(user, metric, UNLIMITED, "month", "hard", "none")]
        states = [_state(app, tx, limit, file.metrics[limit.metric], value) for limit in limits]
    for state in states:
        if not state.allowed:
            log.warning(
                "quota_enforcement", user=user, metric=state.metric, limit=state.limit, used=state.used, value=value
            )
    return states


def _state(app: App, tx: Tx, limit: Limit, metric: Metric, value: int) -> QuotaState:
    span = period.containing(app.clock(), limit.period, app.timezone)
    used = sum(
        usage_rules.value_of(metric.aggregation, one.events, int(one.total), one.largest, one.last_value)
        for one in usage.totals(tx, [limit.user], limit.metric, span)
    )
    after = usage_rules.value_after(metric.aggregation, used, value)
    return rules.judge(limit, used, after, span, app.settings.flag("QUOTA_ENFORCEMENT_ENABLED"))


def effective_limits(tx: Tx, users: Sequence[str], metric: str | None = None) -> list[Limit]:
    """Step: the limits of `users`; everybody is on the free plan until subscriptions say otherwise."""
    return store.limits(tx, users, metric, DEFAULT_PLAN)
