"""Rollups and quota counters anew from the events."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.repair import rules, store
from nself.domains.repair.inputs import RecalculateUsage
from nself.domains.repair.model import Hour, Recalculated
from nself.domains.repair.service import steps
from nself.domains.total import service as total
from nself.domains.usage.service import inspect, show


def recalculate(app: App, given: RecalculateUsage) -> Recalculated:
    """Raises NoSuchUser, NoSuchMetric, InvalidParameter, PeriodInvoiced, MissingParameter."""
    inspect.require(app, given.user, given.metric)
    asked = show.given_period(app, given.period, given.month) if given.period or given.month else show.always(app)

    def work(tx: Tx) -> Recalculated:
        steps.lock(tx, given.user)
        wrong = store.wrong_hours(tx, given.user, given.metric, rules.whole_hours(*asked))
        away = show.archived_months(tx, asked)
        hours = [one for one in wrong if rules.month(one.hour) not in away]

        def change() -> None:
            steps.recompute(tx, {Hour(given.user, one.metric, one.hour) for one in hours})

        places = {(one.metric, one.hour) for one in hours}
        changes = steps.changed(app, tx, given.user, places, given.invoiced, given.execute, change)
        return Recalculated(
            user=given.user,
            executed=given.execute,
            hours=hours,
            changes=changes,
            archived=sorted({f"{rules.month(one.hour):%Y-%m}" for one in wrong if one not in hours}),
        )

    done = steps.attempt(app, given.execute, given.reason, work)
    if done.executed:
        if done.hours:
            total.mend(app)  # rollups that were changed by hand are in no total
        log.info(
            "usage_recalculated", user=given.user, hours=len(done.hours), actor=app.operator(), reason=given.reason
        )
    return done
