"""Pure checks of the catalog's files, and Stripe's prices in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import TypeVar, cast

import msgspec

from nself.core.errors import InvalidParameter
from nself.core.money import exponent
from nself.domains.catalog.model import (
    FlatPrice,
    MetricFile,
    NoSuchMetric,
    PriceFile,
    StripePrice,
    StripeTier,
    Tier,
    Version,
)
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import part

T = TypeVar("T", FlatPrice, Version)

DEFAULT_METRICS = """\
# Metrics that can be recorded. Values are whole numbers of the unit.
# aggregation over the billing period: sum, count, max, last, unique (distinct values of the property `field`) or
# time_weighted (in unit-seconds: a value holds until the next).
# What else there is, each as in this example; a list of versions, each with `from: 2026-07-01`, changes from that day on:
#   pages: {unit: page, group_by: [region], filter: {status: {below: 500}}, validation: {required: [region], max: 100}}
metrics:
  api_calls: {unit: request, aggregation: sum, description: "Requests to the API"}
  storage: {unit: byte, aggregation: max, description: "Largest amount stored"}
  bandwidth: {unit: byte, aggregation: sum, description: "Bytes sent"}
  compute: {unit: cpu-second, aggregation: sum, description: "Processor time"}
  database: {unit: query, aggregation: sum, description: "Database queries"}
  functions: {unit: invocation, aggregation: sum, description: "Function invocations"}
"""

DEFAULT_PRICES = """\
# What usage above the quota costs. Only quotas in mode `overage` are charged.
# Short: `amount` currency units (dollars, not cents) for each `per` units, at all times:
#   api_calls: {amount: "0.0001", per: 1, currency: usd}
# Or versions by date; the one in force when a period begins prices all of it:
#   api_calls:
#     - from: 2026-01-01
#       model: graduated     # flat, graduated (each tier its units), volume (one tier all units) or package
#       tiers:               # up_to is inclusive and counts units above the quota; the last tier is open
#         - {up_to: 100000, amount: "0.001"}
#         - {amount: "0.0008", per: 1, flat: "0"}   # flat is added once when the tier is reached
#       free: 0              # units above the quota that cost nothing; tiers count from there
#       minimum: "0"         # the least that is charged once anything is
#       currency: usd
#     - {from: 2026-07-01, model: package, per: 1000, round: up, tiers: [{amount: "1.00"}]}
overage:
  api_calls: {amount: "0.0001"}
  storage: {amount: "0.10", per: 1073741824}
  bandwidth: {amount: "0.05", per: 1073741824}
  compute: {amount: "0.05", per: 3600}
  database: {amount: "0.01"}
  functions: {amount: "0.0002"}
"""


def default_prices(metrics: MetricFile) -> str:
    """DEFAULT_PRICES without those of metrics that are not there."""
    head, prices = DEFAULT_PRICES.split("overage:\n")
    kept = [line for line in prices.splitlines(True) if line.split(":")[0].strip() in metrics.metrics]
    return head + ("overage:\n" + "".join(kept) if kept else "overage: {}\n")


MOST = Decimal(10) ** 12
FINEST = -20
MAX_TRIAL_DAYS = 730
"""Least exponent of an amount."""


def prices(file: PriceFile, metrics: MetricFile, currency: str) -> dict[str, list[Version]]:
    """Each metric's versions, oldest first; `currency` stands in where one states none.

    Raises ValueError with words that name metric, version and field.
    """
    found: dict[str, list[Version]] = {}
    for name, given in file.overage.items():
        if name not in metrics.metrics:
            raise ValueError(f"overage of {name!r}: no such metric in usage-metrics.yml ({', '.join(metrics.metrics)})")
        versions = _versions(name, given)
        found[name] = [msgspec.structs.replace(one, currency=one.currency or currency) for one in versions]
    return found


def _versions(metric: str, given: object) -> list[Version]:
    where = f"overage of {metric!r}"
    if not isinstance(given, list):
        short = _convert(where, given, FlatPrice)
        tiers = [Tier(amount=short.amount, per=short.per)]
        return [_checked(where, Version(model="flat", tiers=tiers, currency=short.currency))]
    found: list[Version] = []
    for number, one in enumerate(cast("list[object]", given), 1):
        version = _convert(f"{where}, version {number}", one, Version)
        place = f"{where}, version {number}" + (f" from {version.start}" if version.start else "")
        if version.start is None:
            raise ValueError(f"{place}, from: the day is missing from which it is in force")
        if found and version.start <= (found[-1].start or version.start):
            raise ValueError(f"{place}, from: versions stand in order of their days, one a day")
        found.append(_checked(place, version))
    if not found:
        raise ValueError(f"{where}: the list has no version")
    return found


def _convert(where: str, given: object, kind: type[T]) -> T:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        detail, _, place = str(error).partition(" - at `$")
        field = re.sub(r"tiers\[(\d+)\]", lambda found: f"tier {int(found[1]) + 1}", place.strip(".`"))
        raise ValueError(f"{where}{field and ', '}{field.replace('.', ', ')}: {detail}") from error


def _checked(where: str, version: Version) -> Version:
    fault = next(chain(_faults(version), _tier_faults(version)), None)
    if fault:
        raise ValueError(f"{where}, {fault}")
    return version


def _faults(version: Version) -> Iterator[str]:
    package = version.model == "package"
    if package and version.per is None:
        yield "per: the package's size in units is missing"
    if version.per is not None and not package:
        yield "per: only the model package has one here; that of an amount stands in its tier"
    if version.per is not None and version.per < 1:
        yield "per: per must be 1 or more"
    if version.round and not package:
        yield "round: only packages are rounded"
    if version.free < 0:
        yield "free: units must not be negative"
    if fault := _amount_fault(version.minimum):
        yield f"minimum: {fault}"
    if version.currency is not None and not re.fullmatch(r"[a-z]{3}", version.currency):
        yield "currency: a currency is written in three lower case letters"


def _tier_faults(version: Version) -> Iterator[str]:
    if not version.tiers:
        yield "tiers: there is none"
    if version.model in ("flat", "package") and len(version.tiers) > 1:
        yield f"tiers: the model {version.model} has one"
    before = 0
    for number, tier in enumerate(version.tiers, 1):
        last = number == len(version.tiers)
        if last != (tier.up_to is None):
            yield f"tier {number}, up_to: " + ("the last tier is open" if last else "only the last tier is open")
        if tier.up_to is not None and tier.up_to <= before:
            yield f"tier {number}, up_to: must be above {before}"
        before = tier.up_to or before
        for field, amount in (("amount", tier.amount), ("flat", tier.flat)):
            if fault := _amount_fault(amount):
                yield f"tier {number}, {field}: {fault}"
        if tier.per < 1:
            yield f"tier {number}, per: per must be 1 or more"
        if version.model == "package" and tier.per != 1:
            yield f"tier {number}, per: the amount is for one package"


def _amount_fault(amount: Decimal) -> str | None:
    if amount.is_signed() or not amount.is_finite():
        return "the amount must not be negative"
    if amount >= MOST or cast("int", amount.as_tuple().exponent) < FINEST:
        return f"the amount must be below {MOST} and have at most {-FINEST} digits after the point"
    return None


def require(metrics: MetricFile, metric: str) -> None:
    """Raises NoSuchMetric."""
    if metric not in metrics.metrics:
        raise NoSuchMetric(metric=metric)


def flat(amount: Decimal, currency: str) -> Version:
    """`amount` currency units for each unit, as agreed by hand. Raises InvalidParameter."""
    if fault := _amount_fault(amount):
        raise InvalidParameter(f"Invalid rate: {amount} ({fault})", "rate")
    return Version(model="flat", tiers=[Tier(amount=amount)], currency=currency)


def trial_days(price: Snapshot) -> int | None:
    """Days of trial that a price gives: ours in its metadata, since Stripe takes none any more, or Stripe's of old."""
    ours = str(part(price, "metadata").get("trial_period_days"))
    usable = ours.isascii() and ours.isdecimal() and 0 < int(ours) <= MAX_TRIAL_DAYS
    return int(ours) if usable else part(price, "recurring").get("trial_period_days")


def stripe_price(snapshot: Snapshot) -> StripePrice:
    """Stripe's price in our words; its amounts, in minor units, become currency units."""
    recurring, package = part(snapshot, "recurring"), part(snapshot, "transform_quantity")
    digits = exponent(snapshot["currency"])

    def units(of: Snapshot, name: str) -> Decimal | None:
        minor = of.get(f"{name}_decimal") or of.get(name)
        return None if minor is None else Decimal(str(minor)).scaleb(-digits)

    return StripePrice(
        id=snapshot["id"],
        plan=part(snapshot, "metadata").get("plan"),
        nickname=snapshot.get("nickname"),
        product=snapshot["product"],
        active=snapshot["active"],
        type=snapshot["type"],
        currency=snapshot["currency"],
        amount=units(snapshot, "unit_amount"),
        billing_scheme=snapshot["billing_scheme"],
        interval=recurring.get("interval"),
        interval_count=recurring.get("interval_count"),
        usage_type=recurring.get("usage_type"),
        trial_period_days=trial_days(snapshot),
        tiers_mode=snapshot.get("tiers_mode"),
        tiers=[
            StripeTier(
                up_to=tier["up_to"],
                amount=units(tier, "unit_amount") or Decimal(0),
                flat=units(tier, "flat_amount") or Decimal(0),
            )
            for tier in cast("list[Snapshot]", snapshot.get("tiers") or [])
        ],
        package_size=package.get("divide_by"),
        package_round=package.get("round"),
        livemode=snapshot["livemode"],
    )
