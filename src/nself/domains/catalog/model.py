"""Metrics and prices as the project's files declare them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

from nself.core.errors import Invalid, NotFound
from nself.domains.mirror.model import told_age

Aggregation = Literal["sum", "count", "max", "last", "unique", "time_weighted", "time-weighted"]
Model = Literal["flat", "graduated", "volume", "package"]


class NoSuchMetric(NotFound):
    code, guide, param = "no_such_metric", "2.1", "metric"
    text = "No such metric: {metric}"
    hints = ("nself billing usage list-metrics",)


class BrokenCatalog(Invalid):
    """Whoever sent a request is not at fault: it is to be sent again."""

    status, type = 503, "api_error"
    code, guide = "broken_catalog", "2.1"
    text = "{path} cannot be used: {detail}. Without the file the defaults are written anew"
    hints = ("nself billing usage list-metrics",)


class MetricNotInForce(Invalid):
    code, guide, param = "metric_not_in_force", "2.1", "metric"
    text = "{metric} is metered in periods that begin on {day} or later"
    hints = ("nself billing usage show-formula --metric {metric}",)


class FilteredOut(Invalid):
    code, guide, param = "filtered", "2.1", "properties"
    text = "{metric} does not count this event: {property} must be {condition}"
    hints = ("nself billing usage show-formula --metric {metric}",)


class PropertyMissing(Invalid):
    code, guide, param = "property_missing", "2.1", "properties"
    text = "{metric} needs the property {property}"
    hints = ("nself billing usage show-formula --metric {metric}",)


class PropertyInvalid(Invalid):
    code, guide, param = "property_invalid", "2.1", "properties"
    text = "Invalid property {property} of {metric}: {detail}"
    hints = ("nself billing usage show-formula --metric {metric}",)


class ValueNotAllowed(Invalid):
    code, guide, param = "value_not_allowed", "2.1", "value"
    text = "Invalid value of {metric}: {value} ({detail})"
    hints = ("nself billing usage show-formula --metric {metric}",)


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a property must be, all of it. Texts equal texts, numbers numbers; only numbers are above or below one."""

    equals: Any = msgspec.UNSET
    one_of: list[Any] | None = None
    exists: bool | None = None
    above: Decimal | None = None
    at_least: Decimal | None = None
    below: Decimal | None = None
    at_most: Decimal | None = None


class Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an event must be that counts. `integer` is always so; `allowed` values hold where the property is there."""

    required: list[str] = []
    min: int | None = None
    max: int | None = None
    positive: bool = False
    integer: bool = True
    allowed: dict[str, list[Any]] = {}


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a metric is metered in billing periods that begin on `start` (written `from`) or later; None is at all times.

    Values are whole numbers of `unit`. `field` is the property whose distinct values `unique` counts; `group_by` are
    those by which a figure can be broken down. `filter` names what an event must be to count at all.
    """

    start: date | None = msgspec.field(name="from", default=None)
    unit: str
    description: str = ""
    aggregation: Aggregation = "sum"
    field: str | None = None
    filter: dict[str, Condition] = {}
    group_by: list[str] = []
    validation: Validation = Validation()


class PinnedFormula(msgspec.Struct, frozen=True):
    """The version by which a billing period's figures were invoiced, as JSON: it stays whatever the file says later."""

    metric: str
    period_start: datetime
    formula: str


class Metered(NamedTuple):
    """A metric's versions, oldest first; `plain` where there is one, at all times, that looks at no property."""

    versions: tuple[Metric, ...]
    plain: bool


class Tier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Up to and with the `up_to`th unit of overage (None: all others), each `per` units cost `amount` currency units.

    `flat` currency units are added once, when the tier is reached.
    """

    up_to: int | None = None
    amount: Decimal = Decimal(0)
    per: int = 1
    flat: Decimal = Decimal(0)


class FlatPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The short form of a price: `amount` of `currency` (10.50, not cents) for each `per` units, at all times."""

    amount: Decimal
    per: int = 1
    currency: str | None = None


class Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The price of a metric's overage in periods that begin on `start` (written `from`) or later; None is at all times.

    `per` is a package's size in units; `free` units on top of the quota cost nothing; `minimum` currency units are the
    least that is charged once anything is. `currency` is None where the file leaves it to BILLING_CURRENCY.
    """

    start: date | None = msgspec.field(name="from", default=None)
    model: Model
    tiers: list[Tier]
    per: int | None = None
    round: Literal["up", "down"] | None = None
    free: int = 0
    minimum: Decimal = Decimal(0)
    currency: str | None = None


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What units `from_unit` to `to_unit` of the overage cost by one tier, or the rest up to the minimum.

    `exact` currency units are `amount` for each `per` units (of a package: for each of `packages`), and `flat`.
    """

    what: str
    from_unit: int
    to_unit: int
    units: int
    packages: int | None = None
    amount: Decimal
    per: int
    flat: Decimal
    exact: Decimal

    def __str__(self) -> str:
        if not self.units:
            return f"{self.what}: {self.exact:f}"
        if self.packages is not None:
            times = f"{self.packages} x {self.amount:f} for {self.per}"
        else:
            times = f"{self.units} x {self.amount:f}" + (f" / {self.per}" if self.per > 1 else "")
        flat = f" + {self.flat:f}" if self.flat else ""
        return f"{self.what}, units {self.from_unit} to {self.to_unit}: {times}{flat} = {self.exact:f}"


class Rated(msgspec.Struct, frozen=True, kw_only=True):
    """What `units` above the quota cost: the sum of `parts` is `exact`, which is rounded once to `amount_minor`."""

    units: int
    free: int
    charged_units: int
    parts: list[Part]
    exact: Decimal
    rounding: str
    amount_minor: int
    currency: str


class MetricFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, eq=False):
    """Each metric as one version, at all times, or as a list of them; converted one by one, to name what is wrong."""

    metrics: dict[str, Any]


class PriceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Each metric's price in its short form or as a list of versions; converted one by one, to name what is wrong."""

    overage: dict[str, Any]


class ListedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `usage list-metrics`; `start` None is at all times."""

    metric: str
    unit: str
    aggregation: str
    field: str | None
    filter: str
    group_by: list[str]
    validation: str
    start: date | None
    versions: int
    model: str
    overage_price: str
    description: str


class OveragePrice(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `price show --type overage`; `start` None is at all times."""

    metric: str
    start: date | None
    model: Model
    currency: str
    price: str
    in_force: bool


class StripeTier(msgspec.Struct, frozen=True, kw_only=True):
    """A tier of a price at Stripe; `up_to` is None for the last, amounts are in currency units."""

    up_to: int | None
    amount: Decimal
    flat: Decimal


class StripePrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price at Stripe. `amount` is in currency units for one, None where `tiers` say it.

    `plan` is the one whose quotas its subscribers have, None where the product or BILLING_DEFAULT_PLAN says it;
    `interval` is of `interval_count` days, weeks, months or years.
    """

    id: str
    plan: str | None
    nickname: str | None
    product: str
    active: bool
    type: str
    currency: str
    amount: Decimal | None
    billing_scheme: str
    interval: str | None
    interval_count: int | None
    usage_type: str | None
    trial_period_days: int | None
    tiers_mode: str | None
    tiers: list[StripeTier]
    package_size: int | None
    package_round: str | None
    livemode: bool
    as_of: datetime | None = None
    """When the mirror saw it, where Stripe did not answer."""

    def remarks(self) -> list[str]:
        return told_age(self.as_of)
