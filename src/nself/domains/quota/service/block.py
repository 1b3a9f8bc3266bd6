"""Blocks refuse whatever the limit says; unblocking clears them and lends some room above a limit that is used up."""

from __future__ import annotations

from datetime import timedelta

from nself import log
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.core.settings import seconds
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.quota import rules, store
from nself.domains.quota.inputs import BlockUser, UnblockUser
from nself.domains.quota.model import EVERY, Blocked, Override, Unblocked
from nself.domains.quota.service.ask import states
from nself.domains.usage.service import aggregate

ACTOR = "cli"


def lasting(text: str) -> timedelta:
    try:
        found = timedelta(seconds=seconds(text))
    except (ValueError, OverflowError) as error:
        raise InvalidParameter(f"Invalid for: {error}", "for") from None
    if not timedelta(0) < found <= timedelta(days=3650):
        raise InvalidParameter("Invalid for: more than 0 and at most 3650d is needed", "for")
    return found


def block(app: App, given: BlockUser) -> Blocked:
    """Refuse every check and reserve of the user. Raises NoSuchUser, NoSuchMetric."""
    if given.metric is not None:
        catalog_rules.require(catalog.metric_file(app), given.metric)
    customer.require_user(app, given.user)
    now, metric = app.clock(), given.metric or EVERY
    until = now + lasting(given.lasting) if given.lasting else rules.NEVER

    def work(tx: Tx) -> None:
        aggregate.lock_users(tx, [given.user])
        store.put_block(tx, given.user, metric, given.reason, ACTOR, now, until)
        store.stale_counters(tx, [given.user], metric)

    app.db.transact(work)
    log.warning("quota_blocked", user=given.user, metric=metric, reason=given.reason)
    return Blocked(user=given.user, metric=metric, reason=given.reason, blocked_at=now, expires_at=until)


def unblock(app: App, given: UnblockUser) -> Unblocked:
    """Clear blocks, and lend room above hard limits that are used up: else the next check would refuse again.

    Bounded: `extra` units (a tenth of the limit where it is left out), until the window ends or `for` is over.
    Raises NoSuchUser, NoSuchMetric.
    """
    shown = states(app, given.user, given.metric, 1, "look")
    now, metric = app.clock(), given.metric or EVERY
    until = now + lasting(given.lasting)
    lent = [
        Override(
            metric=one.metric,
            extra=rules.lent(one.limit, one.used + one.held, given.extra),
            expires_at=min(until, one.resets_at),
        )
        for one in shown
        if one.mode == "hard" and one.limit >= 0 and one.used + one.held >= one.limit
    ]

    def work(tx: Tx) -> int:
        aggregate.lock_users(tx, [given.user])
        cleared = store.clear_blocks(tx, given.user, metric)
        for one in lent:
            store.put_override(tx, given.user, one, now, ACTOR, given.reason)
        store.stale_counters(tx, [given.user], metric)
        return cleared

    cleared = app.db.transact(work)
    log.info("quota_unblocked", user=given.user, metric=metric, cleared=cleared, overrides=len(lent))
    after = states(app, given.user, given.metric, 1, "look")
    return Unblocked(
        user=given.user,
        blocks_cleared=cleared,
        allowed=all(one.allowed for one in after),
        note="" if cleared or lent else "nothing blocked the user",
        overrides=lent,
    )
