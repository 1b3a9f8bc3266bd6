"""Plans that are over and still grant: counters of before the end of a subscription, which nobody counted anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from nself.app import App
from nself.db.connect import Tx
from nself.domains.quota import store
from nself.domains.quota.facts import KeptPlan
from nself.domains.quota.model import Key
from nself.domains.quota.service import limits

SINCE, MOST = timedelta(days=31), 500


def kept_plans(app: App, user: str | None = None) -> list[KeptPlan]:
    """Of one user, or of all; those of the newest ends first."""
    now = app.clock()
    since = now - SINCE
    with app.db.snapshot() as tx:
        counted = store.counted_after_end(tx, user, since, now, limits.UNSUBSCRIBED, app.settings.live, MOST)
        users = sorted({one.user for one in counted})
        ended, before, after = (
            limits.plans(app, tx, users, since),
            _Grants(app, tx, users, since),
            _Grants(app, tx, users),
        )
    return [
        KeptPlan(one.user, one.metric, ended[one.user].plan or "", ended[one.user].subscription)
        for one in counted
        if (one.source, one.shut) == before.of(one.user, one.metric) != after.of(one.user, one.metric)
    ]


class _Grants:
    """By what a counter counts that is built now, or was while what ended after `since` was in force."""

    def __init__(self, app: App, tx: Tx, users: Sequence[str], since: datetime | None = None) -> None:
        self.sources = {Key(one.user, one.metric): one.source for one in limits.effective_limits(app, tx, users, since)}
        self.shut = {user for user, one in limits.plans(app, tx, users, since).items() if one.plan == limits.NO_PLAN}

    def of(self, user: str, metric: str) -> tuple[str, bool]:
        return self.sources.get(Key(user, metric), limits.NO_PLAN), user in self.shut


def note(app: App, user: str, subscription: str) -> str:
    """What a subscription that is over still grants; empty where nothing."""
    metrics = [one.metric for one in kept_plans(app, user) if one.subscription == subscription]
    if not metrics:
        return ""
    return f"{user} still has its plan for {', '.join(metrics)}: nself cache clear billing:subscription:{subscription}"
