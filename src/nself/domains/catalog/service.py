"""Metrics and their prices."""

from __future__ import annotations

from nself.app import App
from nself.core.money import Rate
from nself.domains.catalog import rules, store
from nself.domains.catalog.inputs import ListMetrics
from nself.domains.catalog.model import BrokenCatalog, ListedMetric, Metric, MetricFile, PriceFile


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


def overage_rates(app: App) -> dict[str, Rate]:
    """The price of overage of each metric that has one. Raises BrokenCatalog."""
    path = app.project.config / "overage-tiers.yml"
    file = store.load(path, PriceFile, rules.DEFAULT_PRICES)
    complaint = rules.wrong_prices(file, metric_file(app))
    if complaint:
        raise BrokenCatalog(path=path, detail=complaint)
    currency = app.settings.text("BILLING_CURRENCY").lower()
    return {name: rules.rate(price, currency) for name, price in file.overage.items()}


def list_metrics(app: App, given: ListMetrics) -> list[ListedMetric]:
    """Every metric with its unit, aggregation and overage price."""
    rates = overage_rates(app)
    return [
        ListedMetric(
            metric=name,
            unit=metric.unit,
            aggregation=metric.aggregation,
            overage_price=_price(rates.get(name)),
            description=metric.description,
        )
        for name, metric in metrics(app).items()
    ]


def _price(rate: Rate | None) -> str:
    return f"{rate.amount:f} {rate.currency} / {rate.per}" if rate else "none"
