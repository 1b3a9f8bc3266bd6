"""Whose limit it is, and how it is set."""

from __future__ import annotations

from collections.abc import Sequence

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.quota import store
from nself.domains.quota.errors import NoSuchPlan, WhoseQuota
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.model import PLANS, WINDOWS, Limit, SetResult
from nself.domains.quota.rules import NO_SUBSCRIPTION
from nself.domains.usage.service import aggregate

DEFAULT_PLAN = "free"


def set_quota(app: App, given: SetQuota) -> SetResult:
    """In force for the next decision, whoever makes it. Raises WhoseQuota, NoSuchUser, NoSuchPlan, NoSuchMetric."""
    if (given.user is None) == (given.plan is None):
        raise WhoseQuota()
    catalog_rules.require(catalog.metric_file(app), given.metric)
    unit, now = WINDOWS[given.period], app.clock()
    if given.user is not None:
        user = given.user
        customer.require_user(app, user)

        def work(tx: Tx) -> None:
            aggregate.lock_users(tx, [user])
            store.set_user(tx, user, given.metric, given.limit, unit, given.mode, now)
            store.stale_counters(tx, [user], given.metric)
    else:
        plan = given.plan
        if plan not in PLANS:
            raise NoSuchPlan(plan=plan)

        def work(tx: Tx) -> None:
            aggregate.lock_everybody(tx)
            store.set_plan(tx, plan, given.metric, given.limit, unit, given.mode, now)
            store.stale_plan(tx, given.metric)

    app.db.transact(work)
    target = f"user {given.user}" if given.user else f"plan {given.plan}"
    log.info("quota_set", target=target, metric=given.metric, limit=given.limit, period=unit, mode=given.mode)
    note = NO_SUBSCRIPTION if unit == "billing" else ""
    return SetResult(target=target, metric=given.metric, limit=given.limit, period=unit, mode=given.mode, note=note)


def effective_limits(tx: Tx, users: Sequence[str], metric: str | None = None) -> list[Limit]:
    """Step: the limits of `users`; everybody is on the free plan until subscriptions say otherwise."""
    return store.limits(tx, users, metric, DEFAULT_PLAN)
