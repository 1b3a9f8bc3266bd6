"""Looking at overage: what it costs now, what it would cost, what was invoiced of it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from nself.app import App
from nself.core import period
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Rated, Version
from nself.domains.catalog.rating import price_text, rate
from nself.domains.customer import service as customer
from nself.domains.invoice.model import InvoicedLine, Overage
from nself.domains.invoice.service import assess
from nself.domains.overage import rules
from nself.domains.overage.inputs import AuditOverage, CalculateOverage, ShowOverage
from nself.domains.overage.model import AuditedOverage, Calculated, Figures, ShownOverage
from nself.domains.quota import rules as quota_rules
from nself.domains.usage.service import show as usage


def show(app: App, given: ShowOverage) -> list[ShownOverage]:
    """What is above the quotas in a month, by metric. Raises NoSuchUser, NoSuchMetric, BrokenCatalog."""
    require(app, given.user, given.metric)
    span = usage.given_period(app, given.period)
    with app.db.reading() as tx:
        found = of_user(app, tx, given.user, span, given.metric)
    return [_shown(app, one) for one in found]


def require(app: App, user: str, metric: str | None) -> None:
    """Raises NoSuchUser, NoSuchMetric."""
    if metric is not None:
        catalog_rules.require(catalog.metric_file(app), metric)
    customer.require_user(app, user)


def of_user(app: App, tx: Tx, user: str, span: Period, metric: str | None) -> list[Overage]:
    """Step: the overage of one user in `span` by metric."""
    found = assess.assess(app, tx, [user], span, assess.catalog_at(app, tx, span))[user].overages
    return [one for one in found if metric in (None, one.metric)]


def _shown(app: App, one: Overage) -> ShownOverage:
    note = "" if one.units else "within the quota"
    return ShownOverage(
        metric=one.metric,
        period=assess.month(app, one.period_start),
        mode=one.mode,
        used=one.used,
        limit=one.limit,
        overage=one.units,
        model=one.price.model if one.price else "none",
        price_from=one.price.start if one.price else None,
        amount_minor=one.due_minor,
        invoiced_minor=one.billed_minor,
        currency=currency_of(app, one),
        parts=one.rated.parts if one.rated else [],
        note=one.why if one.units else note,
    )


def currency_of(app: App, one: Overage | None) -> str:
    price = one.price if one else None
    return (price.currency if price else None) or app.settings.text("BILLING_CURRENCY").lower()


def calculate(app: App, given: CalculateOverage) -> Calculated:
    """Expected beside actual, by the same price. Raises NoSuchUser, NoSuchMetric, InvalidParameter, BrokenCatalog."""
    require(app, given.user, given.metric)
    span = usage.given_period(app, given.period)
    with app.db.reading() as tx:
        actual = next(iter(of_user(app, tx, given.user, span, given.metric)), None)
    currency = currency_of(app, actual)
    price = catalog.prices_at(app, span.start).get(given.metric)
    if given.rate is not None:
        price = catalog_rules.flat(given.rate, currency)
    expected = _figures(given.actual_usage, given.quota_limit, price, currency)
    used, limit = (actual.used, actual.limit) if actual else (0, given.quota_limit)
    real = _rated_figures(used, limit, actual.rated if actual else None, currency)
    return Calculated(
        user=given.user,
        metric=given.metric,
        period=assess.month(app, span.start),
        model=price.model if price else "none",
        price=price_text(price),
        price_from=price.start if price else None,
        calculated=expected,
        actual=real,
        difference_minor=expected.amount_minor - real.amount_minor,
        currency=currency,
        note=actual.why if actual else "no usage in this month yet",
    )


def _figures(used: int, limit: int, price: Version | None, currency: str) -> Figures:
    return _rated_figures(used, limit, rate(price, quota_rules.overage(limit, used)) if price else None, currency)


def _rated_figures(used: int, limit: int, rated: Rated | None, currency: str) -> Figures:
    return Figures(
        usage=used,
        quota=limit,
        overage=quota_rules.overage(limit, used),
        exact=rated.exact if rated else Decimal(0),
        amount_minor=rated.amount_minor if rated else 0,
        currency=currency,
        parts=rated.parts if rated else [],
    )


def audit(app: App, given: AuditOverage) -> list[AuditedOverage]:
    """Each overage of each month, oldest first. Raises NoSuchUser, NoSuchMetric, BrokenCatalog."""
    require(app, given.user, given.metric)
    found: list[AuditedOverage] = []
    with app.db.reading() as tx:
        lines = assess.invoiced_lines(app, tx, given.user)
        has_customer = bool(customer.customers_of(tx, [given.user], app.settings.live))
        for span in months(app, tx, given.user, given.period):
            overages = of_user(app, tx, given.user, span, given.metric)
            counts = counted(app, tx, given.user, span) if any(one.override for one in overages) else {}
            found += [
                _audited(app, one, lines, has_customer, counts.get(one.metric)) for one in overages if matters(one)
            ]
    return found


def counted(app: App, tx: Tx, user: str, span: Period) -> dict[str, Overage]:
    """Step: the overage of one user by metric as if nothing of it had been decided by hand."""
    known = assess.catalog_at(app, tx, span)
    figures = usage.figures_of(app, tx, [user], span, known.metrics)
    return {one.metric: one for one in assess.of_figures(app, tx, [user], span, known, figures, {})[user].overages}


def months(app: App, tx: Tx, user: str, only: str | None) -> list[Period]:
    """Step: the months in which a user has anything that may be billed or was."""
    if only:
        return [period.month(only, app.timezone)]
    starts = {*usage.months_of(app, tx, user), *assess.months_of(app, tx, user)}
    return sorted({period.containing(start, "month", app.timezone) for start in starts})


def matters(one: Overage) -> bool:
    return bool(one.units or one.billed or one.override)


def _audited(
    app: App, one: Overage, lines: Iterable[InvoicedLine], has_customer: bool, count: Overage | None
) -> AuditedOverage:
    differs = rules.mismatch(one.override, count) if one.override else None
    place = (one.metric, one.period_start, one.period_end)
    return AuditedOverage(
        period=assess.month(app, one.period_start),
        metric=one.metric,
        mode=one.mode,
        used=one.used,
        limit=one.limit,
        overage=one.units,
        due_minor=one.due_minor,
        invoiced_minor=one.billed_minor,
        difference_minor=one.due_minor - one.billed_minor,
        currency=currency_of(app, one),
        parts=one.rated.parts if one.rated else [],
        invoiced=[line for line in lines if (line.metric, line.period_start, line.period_end) == place],
        reason="; ".join([rules.reason(one, app.clock(), has_customer), *([differs[1]] if differs else [])]),
    )
