"""Pure decisions about what is billed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from nself.core.money import Money
from nself.core.period import Period
from nself.domains.catalog.model import Metric, Rated, Version
from nself.domains.catalog.rating import price_text, rate
from nself.domains.connection.model import Snapshot, operation_name
from nself.domains.connection.rules import items, part
from nself.domains.invoice import figures
from nself.domains.invoice.formulas import TOP_UP, Step, item_of, net, step
from nself.domains.invoice.model import Billed, Overage, Override, Plan, PlannedLine
from nself.domains.quota import rules as quota_rules
from nself.domains.quota.model import Limit
from nself.domains.usage.figures import Figure, unit_of


class Facts(NamedTuple):
    """What is known of one user in a period, by metric."""

    figures: Mapping[str, Figure]
    limits: Mapping[str, Limit]
    billed: Mapping[str, Billed]
    overrides: Mapping[str, Override]


def overages(
    user: str, span: Period, facts: Facts, metrics: Mapping[str, Metric], prices: Mapping[str, Version]
) -> list[Overage]:
    """Every metric that has usage and a limit, or an operator's decision. `prices` are those in force at the start."""
    found: list[Overage] = []
    for name in sorted({*facts.figures, *facts.overrides}):
        metric, billed = metrics.get(name), facts.billed.get(name)
        override, limit, one = facts.overrides.get(name), facts.limits.get(name), facts.figures.get(name)
        price = billed.price if billed else prices.get(name)
        common = {"user": user, "metric": name, "period_start": span.start, "period_end": span.end}
        common |= {"unit": unit_of(metric) if metric else "", "billed": billed, "events": one.events if one else 0}
        if override:
            found.append(_decided(override, common))
        elif metric and limit and one:
            found.append(_counted(one.value, limit, price, common))
    return found


def _decided(override: Override, common: dict[str, Any]) -> Overage:
    units = quota_rules.overage(override.limit, override.used)
    return Overage(
        **common,
        mode="by hand",
        used=override.used,
        limit=override.limit,
        units=units,
        price=override.price,
        rated=rate(override.price, units),
        why="",
        override=override,
    )


def _counted(used: int, limit: Limit, price: Version | None, common: dict[str, Any]) -> Overage:
    units, why = quota_rules.overage(limit.limit, used), ""
    if limit.mode != "overage":
        why = f"quotas in mode {limit.mode} are not charged"
    elif limit.period != "month":
        why = f"the limit is per {limit.period}, invoices are per month"
    elif price is None:
        why = "overage-tiers.yml has no price of it for this period"
    return Overage(
        **common,
        mode=limit.mode,
        used=used,
        limit=limit.limit,
        units=units,
        price=price,
        rated=rate(price, units) if price and not why else None,
        why=why,
        override=None,
    )


def lines(found: Iterable[Overage]) -> list[PlannedLine]:
    """One line for each metric of one user whose overage costs something else than was billed before.

    The price of the whole overage is rounded once, and what was billed before is taken off, so that a period
    billed in two parts costs the same as in one.
    """
    return [
        _line(one, one.price, one.rated)
        for one in found
        if one.price and one.rated and (one.due_minor > one.billed_minor or is_credit(one))
    ]


def is_credit(one: Overage) -> bool:
    """Whether less is due than was billed because an operator says so, or more units reached a cheaper tier of all.

    Otherwise (a limit was raised, usage was taken back) an operator must say so first.
    """
    if one.billed is None or one.price is None or one.due_minor >= one.billed_minor:
        return False
    return one.override is not None or (one.price.model == "volume" and one.used > one.billed.used)


def _line(one: Overage, price: Version, rated: Rated) -> PlannedLine:
    text = f"{one.metric}: {one.used} used, {one.limit} included, {one.units} {one.unit} over at {_at(price, one.unit)}"
    return PlannedLine(
        line=one.metric,
        metric=one.metric,
        period_start=one.period_start,
        period_end=one.period_end,
        used=one.used,
        limit=one.limit,
        overage=one.units,
        events=one.events,
        price=price,
        rated=rated,
        override=one.override.id if one.override else None,
        billed_before_minor=one.billed_minor,
        amount_minor=rated.amount_minor - one.billed_minor,
        description=text + (", rest" if one.billed_minor else ""),
    )


def _at(price: Version, unit: str) -> str:
    if price.model == "flat" and not (price.tiers[0].flat or price.free or price.minimum):
        return f"{price_text(price)} {unit}".rstrip()
    return f"{price.model} prices" + (f" of {price.start}" if price.start else "")


def adjustments(overrides: Iterable[Override], span: Period) -> list[PlannedLine]:
    """What operators decided of other periods that were invoiced already: the difference stands on this invoice."""
    found: list[PlannedLine] = []
    for one in overrides:
        units = quota_rules.overage(one.limit, one.used)
        rated = rate(one.price, units)
        amount = rated.amount_minor - one.billed_minor
        if (one.period_start, one.period_end) == span or not one.lines or not amount:
            continue
        month = f"{one.period_start:%Y-%m-%d} to {one.period_end:%Y-%m-%d}"
        found.append(
            PlannedLine(
                line=f"{one.metric} {one.period_start:%Y-%m-%dT%H:%MZ}",
                metric=one.metric,
                period_start=one.period_start,
                period_end=one.period_end,
                used=one.used,
                limit=one.limit,
                overage=units,
                events=0,
                price=one.price,
                rated=rated,
                override=one.id,
                billed_before_minor=one.billed_minor,
                amount_minor=amount,
                description=f"{one.metric}, adjustment of {month}: {units} over at {_at(one.price, '')}",
            )
        )
    return found


def not_monthly(limits: Mapping[str, Limit]) -> set[str]:
    """Metrics whose overage is charged by another period than the month that an invoice is for: not invoiced yet."""
    return {limit.metric for limit in limits.values() if limit.mode == "overage" and limit.period != "month"}


def over_quota(found: Iterable[Overage]) -> bool:
    """Whether any metric that charges overage is above its limit."""
    return any(one.mode in ("overage", "by hand") and one.units for one in found)


def plans(
    user: str, customer: str, span: Period, revision: int, found: list[PlannedLine], livemode: bool
) -> list[Plan]:
    """One plan a currency, since an invoice has one; `revision` is that of the newest plan before."""
    currencies = sorted({line.rated.currency for line in found})
    return [
        _plan(
            user,
            customer,
            span,
            number,
            currency,
            [line for line in found if line.rated.currency == currency],
            livemode,
        )
        for number, currency in enumerate(currencies, revision + 1)
    ]


def _plan(
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


def minimum(amounts: Mapping[str, int], mode: str, currency: str) -> Snapshot | None:
    """What BILLING_MINIMUM_CHARGE asks of invoices in `currency`; None where nothing, or what Stripe does by itself."""
    least = amounts.get(currency, 0)
    by_itself = mode == "carry_forward" and least <= figures.STRIPE_MINIMUM.get(currency, 1)
    return {"least": least, "mode": mode} if least and not by_itself else None


class Weighed(NamedTuple):
    """What the minimum charge does to a draft: steps before it is finalised, and after."""

    before: list[Step]
    after: list[Step]
    told: str


def weigh(invoice: Snapshot, least: Snapshot | None) -> Weighed:
    """Nothing for an invoice that asks for nothing, for a credit, or for enough."""
    ours = [line for line in items(invoice, "lines") if part(line, "metadata").get(TOP_UP)]
    total = invoice["total"] - sum(net(line) for line in ours)
    asked, gone = total + invoice["starting_balance"], [_removal(line) for line in ours]
    if least is None or total <= 0 or not 0 < asked < least["least"]:
        return Weighed(gone, [], "")
    floor, money = Money(least["least"], invoice["currency"]), Money(asked, invoice["currency"])
    if least["mode"] == "top_up":
        amount = figures.top_up(least["least"] - asked, rates(invoice))
        told = f"topped up by {Money(amount, invoice['currency'])} to the minimum charge of {floor}"
        if [line["amount"] for line in ours] == [amount]:
            return Weighed([], [], told)
        return Weighed([*gone, _top_up(invoice, amount)], [], told)
    if least["mode"] == "waive":
        waived = min(total, asked)
        told = f"less than the minimum charge of {floor}: {Money(waived, invoice['currency'])} is waived"
        return Weighed([*gone, _balance(invoice, -waived, "Below the minimum charge: waived")], [], told)
    told = f"less than the minimum charge of {floor}: {money} is carried forward and owed with the next invoice"
    if asked < figures.STRIPE_MINIMUM.get(invoice["currency"], 1):
        return Weighed(gone, [], told)  # Stripe does the same by itself
    there = _balance(invoice, -asked, "Below the minimum charge: carried forward")
    return Weighed([*gone, there], [_balance(invoice, asked, "Carried forward from an earlier invoice")], told)


def rates(invoice: Snapshot) -> tuple[figures.Rate, ...]:
    """Those that a line without rates of its own is taxed by; of automatic tax none: a line may be told to include it."""
    if part(invoice, "automatic_tax").get("enabled"):
        return ()
    found = cast("list[Snapshot]", invoice.get("default_tax_rates") or [])
    return figures.rates_of(found, str(invoice.get("customer_tax_exempt")))


def _removal(line: Snapshot) -> Step:
    return step("invoiceitems", str(item_of(line)), params={}, remove=True)


def _top_up(invoice: Snapshot, amount: int) -> Step:
    params = {
        "customer": invoice["customer"],
        "invoice": invoice["id"],
        "amount": amount,
        "currency": invoice["currency"],
        "description": "Minimum charge",
        "discountable": False,
        "metadata": {TOP_UP: "1"},
    }
    if part(invoice, "automatic_tax").get("enabled"):
        params["tax_behavior"] = "inclusive"
    return step("invoiceitems", params=params)


def _balance(invoice: Snapshot, amount: int, why: str) -> Step:
    params = {
        "amount": amount,
        "currency": invoice["currency"],
        "description": f"{why} ({invoice['id']})",
        "metadata": {"nself_invoice": invoice["id"]},
    }
    return step("customers", invoice["customer"], "balance_transactions", params=params)


def adds_up(invoice: Snapshot) -> int:
    """The total of an invoice less what its lines, their discounts and taxes come to: 0, or it does not add up.

    The one place that holds totals to the sum of their lines.
    """
    return invoice["total"] - sum(net(line) for line in items(invoice, "lines"))
