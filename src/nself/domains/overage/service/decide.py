"""What operators decide about overage by hand. Nothing that was invoiced is changed: a difference is billed or credited."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.core.errors import InvalidParameter, MissingParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog.rating import rate
from nself.domains.invoice.model import Decision, Overage
from nself.domains.invoice.service import assess
from nself.domains.overage.inputs import RecalculateOverage, UpdateOverage
from nself.domains.overage.model import RecalculatedOverage, UpdatedOverage
from nself.domains.overage.service.show import currency_of, matters, months, of_user, require
from nself.domains.quota import rules as quota_rules
from nself.domains.usage.service import show as usage


def update(app: App, given: UpdateOverage) -> UpdatedOverage:
    """Set what a metric's overage of a month is; the next invoice bills what was not billed of it before.

    Raises NoSuchUser, NoSuchMetric, InvalidParameter, MonthMoved, and MissingParameter for a reason in live mode.
    """
    require(app, given.user, given.metric)
    _require_reason(app, given.reason)
    span = usage.given_period(app, given.period)
    if span.start > app.clock():
        raise InvalidParameter(f"The period {given.period} has not begun", "period")
    with app.db.transaction() as tx:
        assess.lock(tx, [given.user])
        assess.require_unmoved(app, tx, given.user, span)
        before = next(iter(of_user(app, tx, given.user, span, given.metric)), None)
        decision = _decision(app, given, span, before)
        assess.decide(app, tx, decision)
    log.info(
        "overage_updated",
        user=given.user,
        metric=given.metric,
        before_minor=decision.before_minor,
        amount_minor=decision.amount_minor,
        actor=decision.actor,
    )
    return _updated(app, given, decision, before)


def _require_reason(app: App, reason: str | None) -> None:
    if app.settings.live and not reason:
        raise MissingParameter("reason")


def _decision(app: App, given: UpdateOverage, span: Period, before: Overage | None) -> Decision:
    currency = currency_of(app, before)
    price = catalog_rules.flat(given.rate, currency)
    return Decision(
        user=given.user,
        metric=given.metric,
        period_start=span.start,
        period_end=span.end,
        used=given.usage,
        limit=given.quota,
        price=price,
        amount_minor=rate(price, quota_rules.overage(given.quota, given.usage)).amount_minor,
        before_minor=before.due_minor if before else 0,
        currency=currency,
        reason=given.reason,
        actor=app.operator(),
        updated_at=app.clock(),
    )


def _updated(app: App, given: UpdateOverage, decision: Decision, before: Overage | None) -> UpdatedOverage:
    invoiced, units = before.billed_minor if before else 0, quota_rules.overage(given.quota, given.usage)
    name, billed = assess.month(app, decision.period_start), before is not None and before.billed is not None
    kept = f"{name} was invoiced and stays so; the difference stands on the next invoice"
    return UpdatedOverage(
        user=given.user,
        metric=given.metric,
        period=name,
        usage=given.usage,
        quota=given.quota,
        overage=units,
        rate=given.rate,
        before_minor=decision.before_minor,
        after_minor=decision.amount_minor,
        invoiced_minor=invoiced,
        difference_minor=decision.amount_minor - invoiced,
        currency=decision.currency,
        parts=rate(catalog_rules.flat(given.rate, decision.currency), units).parts,
        effect=kept if billed else f"{name} is not invoiced yet; its invoice bills this",
        reason=given.reason,
        actor=decision.actor,
        updated_at=decision.updated_at,
    )


def recalculate(app: App, given: RecalculateOverage) -> list[RecalculatedOverage]:
    """Each overage as it would be billed, beside what the events, quota and price in force say.

    With `execute` what was set by hand and is not invoiced gives way to the events. Raises NoSuchUser, NoSuchMetric,
    MissingParameter for a reason in live mode.
    """
    require(app, given.user, given.metric)
    if not given.execute:
        with app.db.reading() as tx:
            return _recalculated(app, tx, given)
    _require_reason(app, given.reason)
    with app.db.transaction() as tx:
        assess.lock(tx, [given.user])
        return _recalculated(app, tx, given)


def _recalculated(app: App, tx: Tx, given: RecalculateOverage) -> list[RecalculatedOverage]:
    found: list[RecalculatedOverage] = []
    for span in months(app, tx, given.user, given.period):
        known = assess.catalog_at(app, tx, span)
        figures = usage.recount(app, tx, given.user, span, known.metrics)
        counted = assess.of_figures(app, tx, [given.user], span, known, figures, {})[given.user].overages
        after = {one.metric: one for one in counted}
        for one in of_user(app, tx, given.user, span, given.metric):
            again = after.get(one.metric)
            if not (matters(one) or (again and matters(again))):
                continue
            if given.execute and one.override and not one.billed:
                assess.decide(app, tx, _withdrawal(app, given, one, again))
            found.append(_compared(app, given, one, again))
    return found


def _withdrawal(app: App, given: RecalculateOverage, one: Overage, again: Overage | None) -> Decision:
    return Decision(
        user=one.user,
        metric=one.metric,
        period_start=one.period_start,
        period_end=one.period_end,
        used=again.used if again else 0,
        limit=again.limit if again else one.limit,
        price=None,
        amount_minor=again.due_minor if again else 0,
        before_minor=one.due_minor,
        currency=currency_of(app, one),
        reason=given.reason,
        actor=app.operator(),
        updated_at=app.clock(),
    )


def _compared(app: App, given: RecalculateOverage, one: Overage, again: Overage | None) -> RecalculatedOverage:
    return RecalculatedOverage(
        period=assess.month(app, one.period_start),
        metric=one.metric,
        state="invoiced" if one.billed else "open",
        used_before=one.used,
        used_after=again.used if again else 0,
        before_minor=one.due_minor,
        after_minor=again.due_minor if again else 0,
        currency=currency_of(app, one),
        note=_note(given.execute, one, again),
    )


def _note(execute: bool, one: Overage, again: Overage | None) -> str:
    if one.billed:
        same = one.override is None and one.billed_minor == (again.due_minor if again else 0)
        return "as invoiced" if same else "invoiced, not changed: `overage audit` tells the difference"
    if one.override:
        by = f"set by hand by {one.override.actor}"
        return f"{by}: taken back" if execute else f"{by}: --execute takes it back"
    if again is None or one.used != again.used:
        return "rollups and stored events differ"
    return one.why or "unchanged"
