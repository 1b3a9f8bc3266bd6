"""Whose limit it is, and how it is set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.connection.rules import part
from nself.domains.customer import service as customer
from nself.domains.mirror.model import Change, Snapshot
from nself.domains.quota import rules, store
from nself.domains.quota.errors import NoSuchPlan, WhoseQuota
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.model import EVERY, PLANS, WINDOWS, Limit, SetResult, Subscribed
from nself.domains.quota.rules import NO_SUBSCRIPTION
from nself.domains.usage.service import aggregate

NO_PLAN, UNSUBSCRIBED = "none", "no subscription is in force"


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


def effective_limits(app: App, tx: Tx, users: Sequence[str], since: datetime | None = None) -> list[Limit]:
    """Step: the limits of `users`, their own or their plan's; of plans also those that ended after `since`."""
    found = plans(app, tx, users, since)
    return store.limits(tx, users, [found[user].plan or "" for user in users], None)


def plans(app: App, tx: Tx, users: Sequence[str], since: datetime | None = None) -> dict[str, Subscribed]:
    """Step: what each user is subscribed to; who is to nothing, or to something that names no plan, has BILLING_DEFAULT_PLAN."""
    default = app.settings.text("BILLING_DEFAULT_PLAN")
    found = {one.user: one for one in store.subscribed(tx, users, app.settings.live, since or app.clock())}
    return {
        user: msgspec.structs.replace(one, plan=one.plan if one.plan in PLANS else default)
        if (one := found.get(user))
        else Subscribed(user, "", "", default)
        for user in users
    }


def follow(app: App, tx: Tx, changes: Sequence[Change]) -> None:
    """Reaction: plans begin, end or are others; the next decision counts with them."""
    if any(one.kind in ("product", "price") and _plan(one.before) != _plan(one.after) for one in changes):
        aggregate.lock_everybody(tx)  # a product may come last
        store.stale_everybody(tx)
    owners = [owner for one in changes if (owner := _owner(one))]
    if owners:
        forget(tx, list(customer.users_of(tx, owners).values()))


def _plan(snapshot: Snapshot | None) -> str | None:
    return part(snapshot or {}, "metadata").get("plan")


def _owner(change: Change) -> str | None:
    """The customer whose plan is another one."""
    before, after = change.before or {}, change.after
    if change.kind == "customer":
        return change.id
    if change.kind != "subscription" or rules.standing(before) == rules.standing(after):
        return None
    return after.get("customer") or before.get("customer")


def forget(tx: Tx, users: Sequence[str]) -> None:
    """Step: counters of `users` are built anew, since something besides usage changed for them."""
    if users:
        aggregate.lock_users(tx, users)
        store.stale_counters(tx, users, EVERY)
