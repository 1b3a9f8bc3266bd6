"""Pure decisions about what is billed."""

from __future__ import annotations

from collections.abc import Mapping

from nself.core.money import Rate
from nself.core.period import Period
from nself.domains.catalog.model import Metric
from nself.domains.connection.model import operation_name
from nself.domains.invoice.model import Billed, Plan, PlannedLine
from nself.domains.quota import rules as quota_rules
from nself.domains.quota.model import Limit
from nself.domains.usage import rules as usage_rules
from nself.domains.usage.model import Sum


def lines(
    sums: list[Sum],
    limits: Mapping[str, Limit],
    metrics: Mapping[str, Metric],
    rates: Mapping[str, Rate],
    billed: Mapping[str, Billed],
) -> list[PlannedLine]:
    """One line for each metric of one user whose overage costs more than was billed before.

    The price of the whole overage is rounded once, and what was billed before is taken off, so that a period
    billed in two parts costs the same as in one.
    """
    found: list[PlannedLine] = []
    for one in sums:
        limit, metric, rate = limits.get(one.metric_type), metrics.get(one.metric_type), rates.get(one.metric_type)
        if limit is None or metric is None or rate is None or limit.mode != "overage" or limit.period != "month":
            continue
        used = usage_rules.value_of(metric.aggregation, one.events, int(one.total), one.largest, one.last_value)
        before = billed[one.metric_type].amount_minor if one.metric_type in billed else 0
        amount = quota_rules.overage_charge(limit.limit, used, rate).minor - before
        if amount > 0:
            found.append(_line(one.metric_type, metric, used, limit.limit, rate, before, amount))
    return found


def _line(name: str, metric: Metric, used: int, limit: int, rate: Rate, before: int, amount: int) -> PlannedLine:
    over = quota_rules.overage(limit, used)
    price = f"{rate.amount:f} {rate.currency} / {rate.per} {metric.unit}"
    return PlannedLine(
        metric=name,
        used=used,
        limit=limit,
        overage=over,
        rate=rate.amount,
        per=rate.per,
        billed_before_minor=before,
        amount_minor=amount,
        description=f"{name}: {used} used, {limit} included, {over} {metric.unit} over at {price}"
        + (", rest" if before else ""),
    )


def not_monthly(limits: Mapping[str, Limit]) -> set[str]:
    """Metrics whose overage is charged by another period than the month that an invoice is for: not invoiced yet."""
    return {limit.metric for limit in limits.values() if limit.mode == "overage" and limit.period != "month"}


def over_quota(sums: list[Sum], limits: Mapping[str, Limit], metrics: Mapping[str, Metric]) -> bool:
    """Whether any metric that charges overage is above its limit."""
    return any(
        limits[one.metric_type].mode == "overage"
        and quota_rules.overage(
            limits[one.metric_type].limit,
            usage_rules.value_of(
                metrics[one.metric_type].aggregation, one.events, int(one.total), one.largest, one.last_value
            ),
        )
        for one in sums
        if one.metric_type in limits and one.metric_type in metrics
    )


def plan(
    user: str, customer: str, span: Period, revision: int, currency: str, planned: list[PlannedLine], livemode: bool
) -> Plan:
    return Plan(
        user=user,
        customer=customer,
        period_start=span.start,
        period_end=span.end,
        revision=revision,
        operation=operation_name(livemode, "invoice", user, f"{span.start:%Y-%m-%dT%H:%MZ}", revision),
        currency=currency,
        total_minor=sum(line.amount_minor for line in planned),
        lines=planned,
    )
