"""Metrics and prices as the project's files declare them."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from nself.core.errors import Invalid, NotFound

Aggregation = Literal["sum", "count", "max", "last"]


class NoSuchMetric(NotFound):
    code, guide, param = "no_such_metric", "2.1", "metric"
    text = "No such metric: {metric}"
    hints = ("nself billing usage list-metrics",)


class BrokenCatalog(Invalid):
    code, guide = "broken_catalog", "2.1"
    text = "{path} cannot be used: {detail}. Without the file the defaults are written anew"


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One metric; values are whole numbers of `unit`."""

    unit: str
    description: str = ""
    aggregation: Aggregation = "sum"


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Overage costs `amount` of `currency` (10.50, not cents) for each `per` units of the metric."""

    amount: Decimal
    per: int = 1
    currency: str | None = None


class MetricFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metrics: dict[str, Metric]


class PriceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    overage: dict[str, Price]


class ListedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `usage list-metrics`."""

    metric: str
    unit: str
    aggregation: str
    overage_price: str
    description: str
