"""Metrics and their prices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from nself.app import App
from nself.core import period
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.catalog import formulas, rating, rules, store
from nself.domains.catalog.inputs import CreatePrice, ListMetrics, ListPrices, ShowPrice
from nself.domains.catalog.model import (
    BrokenCatalog,
    ListedMetric,
    Metered,
    Metric,
    MetricFile,
    OveragePrice,
    PriceFile,
    StripePrice,
    Version,
)
from nself.domains.connection.service import change
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Snapshot

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Metric).decode


def metric_file(app: App) -> MetricFile:
    """The checked metric file. Raises BrokenCatalog."""
    path = app.project.config / "usage-metrics.yml"
    file = store.load(path, MetricFile, rules.DEFAULT_METRICS)
    try:
        formulas.metered(file)
    except ValueError as error:
        raise BrokenCatalog(path=path, detail=error) from error
    return file


def metered(app: App) -> dict[str, Metered]:
    """All versions of all metrics, by name. Raises BrokenCatalog."""
    return formulas.metered(metric_file(app))


def metrics_at(app: App, at: datetime) -> dict[str, Metric]:
    """Each metric as the file has it for the billing period (month) of `at`. Raises BrokenCatalog."""
    return {name: formulas.shown(one, at, app.timezone) for name, one in metered(app).items()}


def metrics_of(app: App, tx: Tx, at: datetime) -> dict[str, Metric]:
    """Step: the same for figures: a period that was invoiced keeps what it was invoiced by. Raises BrokenCatalog."""
    kept = store.pinned(tx, period.containing(at, "month", app.timezone).start)
    return metrics_at(app, at) | {one.metric: _decode(one.formula) for one in kept}


def pin(app: App, tx: Tx, start: datetime) -> None:
    """Step: from now on the period that begins at `start` keeps its formulas. Raises BrokenCatalog."""
    found = {name: _encode(one).decode() for name, one in metrics_at(app, start).items()}
    store.pin(tx, start, found, app.clock())


def pins(tx: Tx, metric: str) -> list[tuple[datetime, Metric]]:
    """Step: the invoiced periods of a metric, each with its formula."""
    return [(one.period_start, _decode(one.formula)) for one in store.pins(tx, metric)]


def overage_prices(app: App) -> dict[str, list[Version]]:
    """All versions of the price of overage of each metric that has one. Raises BrokenCatalog."""
    path = app.project.config / "overage-tiers.yml"
    metrics = metric_file(app)
    file = store.load(path, PriceFile, rules.default_prices(metrics))
    try:
        return rules.prices(file, metrics, app.settings.text("BILLING_CURRENCY").lower())
    except ValueError as error:
        raise BrokenCatalog(path=path, detail=error) from error


def prices_at(app: App, at: datetime) -> dict[str, Version]:
    """The price of overage in a period that begins at `at`, by metric. Raises BrokenCatalog."""
    day = at.astimezone(app.timezone).date()
    found = {name: rating.in_force(versions, day) for name, versions in overage_prices(app).items()}
    return {name: version for name, version in found.items() if version}


def list_metrics(app: App, given: ListMetrics) -> list[ListedMetric]:
    """Every metric as it is metered this month, with the price of overage."""
    now = app.clock()
    prices, versions = prices_at(app, now), metered(app)
    return [
        ListedMetric(
            metric=name,
            unit=metric.unit,
            aggregation=metric.aggregation,
            field=metric.field,
            filter=formulas.filter_text(metric),
            group_by=metric.group_by,
            validation=formulas.validation_text(metric),
            start=metric.start,
            versions=len(versions[name].versions),
            model=prices[name].model if name in prices else "none",
            overage_price=rating.price_text(prices.get(name)),
            description=metric.description,
        )
        for name, metric in metrics_at(app, now).items()
    ]


def create_price(app: App, given: CreatePrice) -> StripePrice:
    """Raises MissingParameter, what Stripe refuses."""
    if (given.product is None) == (given.product_name is None):
        raise MissingParameter("product")
    params: dict[str, Any] = {
        "unit_amount": given.amount,
        "currency": (given.currency or app.settings.text("BILLING_CURRENCY")).lower(),
    }
    params |= {"product": given.product} if given.product else {"product_data": {"name": given.product_name}}
    if given.interval:
        params["recurring"] = {"interval": given.interval, "interval_count": given.interval_count}
    params |= {"nickname": given.nickname} if given.nickname else {}
    params["metadata"] = {"plan": given.plan} if given.plan else {}
    params["metadata"] |= {"trial_period_days": str(given.trial_days)} if given.trial_days else {}
    id = change.change(app, change.once(app, "price.create"), "prices", params=params)
    return rules.stripe_price(app.stripe.fetch("price", id))


def list_prices(app: App, given: ListPrices) -> list[StripePrice]:
    """Newest first, from the mirror."""
    with app.db.reading() as tx:
        return [
            rules.stripe_price(one)
            for one in store.prices(tx, given.product, given.all, app.settings.live, given.limit)
        ]


def show_price(app: App, given: ShowPrice) -> StripePrice | list[OveragePrice]:
    """A price of Stripe by its id, or with type overage all versions of overage-tiers.yml.

    Raises NoSuchPrice of the gateway, MissingParameter, BrokenCatalog.
    """
    if given.price is not None:
        seen = mirror.look(app, "price", given.price)
        return msgspec.structs.replace(rules.stripe_price(seen.snapshot), as_of=seen.as_of)
    if given.type is None:
        raise MissingParameter("price")
    now = prices_at(app, app.clock())
    return [
        OveragePrice(
            metric=name,
            start=version.start,
            model=version.model,
            currency=version.currency or "",
            price=rating.price_text(version),
            in_force=version == now.get(name),
        )
        for name, versions in overage_prices(app).items()
        for version in versions
    ]


def tax(app: App) -> Snapshot:
    """Parameters of a new invoice or subscription that say who computes its tax."""
    calculation = app.settings.text("STRIPE_TAX_CALCULATION")
    if calculation == "automatic":
        return {"automatic_tax": {"enabled": True}}
    rates = tax_rates(app)
    return {"default_tax_rates": rates} if calculation == "rates" and rates else {}


def tax_rates(app: App) -> list[str]:
    """STRIPE_TAX_RATES."""
    return [part.strip() for part in app.settings.text("STRIPE_TAX_RATES").split(",") if part.strip()]
