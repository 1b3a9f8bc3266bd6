"""Pure checks of the catalog files, and the rating of overage."""

from __future__ import annotations

import re

from nself.core.money import Rate
from nself.domains.catalog.model import MetricFile, NoSuchMetric, Price, PriceFile

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

DEFAULT_METRICS = """\
# Metrics that can be recorded. Values are whole numbers of the unit.
# aggregation: sum, count, max or last, over the billing period.
metrics:
  api_calls: {unit: request, aggregation: sum, description: "Requests to the API"}
  storage: {unit: byte, aggregation: max, description: "Largest amount stored"}
  bandwidth: {unit: byte, aggregation: sum, description: "Bytes sent"}
  compute: {unit: cpu-second, aggregation: sum, description: "Processor time"}
  database: {unit: query, aggregation: sum, description: "Database queries"}
  functions: {unit: invocation, aggregation: sum, description: "Function invocations"}
"""

DEFAULT_PRICES = """\
# What usage above the quota costs: `amount` currency units (dollars, not cents) for each `per` units.
# Only quotas in mode `overage` are charged.
overage:
  api_calls: {amount: "0.0001"}
  storage: {amount: "0.10", per: 1073741824}
  bandwidth: {amount: "0.05", per: 1073741824}
  compute: {amount: "0.05", per: 3600}
  database: {amount: "0.01"}
  functions: {amount: "0.0002"}
"""


def wrong_metrics(file: MetricFile) -> str | None:
    """What is wrong with the metric file, in words, or None."""
    for name in file.metrics:
        if not NAME.fullmatch(name):
            return f"metric {name!r}: a name is written in lower case letters, digits and _, at most 63"
    return None


def wrong_prices(file: PriceFile, metrics: MetricFile) -> str | None:
    """What is wrong with the price file, in words, or None."""
    for name, price in file.overage.items():
        if name not in metrics.metrics:
            return f"overage of {name!r}: no such metric in usage-metrics.yml"
        if price.amount.is_signed() or not price.amount.is_finite():
            return f"overage of {name!r}: the amount must not be negative"
        if price.per < 1:
            return f"overage of {name!r}: per must be 1 or more"
        if price.currency is not None and not re.fullmatch(r"[a-z]{3}", price.currency):
            return f"overage of {name!r}: a currency is written in three lower case letters"
    return None


def require(metrics: MetricFile, metric: str) -> None:
    """Raises NoSuchMetric."""
    if metric not in metrics.metrics:
        raise NoSuchMetric(metric=metric)


def rate(price: Price, currency: str) -> Rate:
    """`currency` stands in where the price states none."""
    return Rate(price.amount, price.currency or currency, price.per)
