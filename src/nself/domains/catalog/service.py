"""Metrics and their prices."""

from __future__ import annotations

from datetime import datetime

from nself.app import App
from nself.core.errors import MissingParameter
from nself.domains.catalog import rating, rules, store
from nself.domains.catalog.inputs import ListMetrics, ShowPrice
from nself.domains.catalog.model import (
    BrokenCatalog,
    ListedMetric,
    Metric,
    MetricFile,
    OveragePrice,
    PriceFile,
    StripePrice,
    Version,
)


def metric_file(app: App) -> MetricFile:
    """The checked metric file. Raises BrokenCatalog."""
    path = app.project.config / "usage-metrics.yml"
    file = store.load(path, MetricFile, rules.DEFAULT_METRICS)
    complaint = rules.wrong_metrics(file)
    if complaint:
        raise BrokenCatalog(path=path, detail=complaint)
    return file


def metrics(app: App) -> dict[str, Metric]:
    """All metrics by name. Raises BrokenCatalog."""
    return metric_file(app).metrics


def overage_prices(app: App) -> dict[str, list[Version]]:
    """All versions of the price of overage of each metric that has one. Raises BrokenCatalog."""
    path = app.project.config / "overage-tiers.yml"
    file = store.load(path, PriceFile, rules.DEFAULT_PRICES)
    try:
        return rules.prices(file, metric_file(app), app.settings.text("BILLING_CURRENCY").lower())
    except ValueError as error:
        raise BrokenCatalog(path=path, detail=error) from error


def prices_at(app: App, at: datetime) -> dict[str, Version]:
    """The price of overage in a period that begins at `at`, by metric. Raises BrokenCatalog."""
    day = at.astimezone(app.timezone).date()
    found = {name: rating.in_force(versions, day) for name, versions in overage_prices(app).items()}
    return {name: version for name, version in found.items() if version}


def list_metrics(app: App, given: ListMetrics) -> list[ListedMetric]:
    """Every metric with its unit, aggregation and today's price of overage."""
    prices = prices_at(app, app.clock())
    return [
        ListedMetric(
            metric=name,
            unit=metric.unit,
            aggregation=metric.aggregation,
            model=prices[name].model if name in prices else "none",
            overage_price=rating.price_text(prices.get(name)),
            description=metric.description,
        )
        for name, metric in metrics(app).items()
    ]


def show_price(app: App, given: ShowPrice) -> StripePrice | list[OveragePrice]:
    """A price of Stripe by its id, or with type overage all versions of overage-tiers.yml.

    Raises NoSuchPrice of the gateway, MissingParameter, BrokenCatalog.
    """
    if given.price is not None:
        return rules.stripe_price(app.stripe.price(given.price))
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
