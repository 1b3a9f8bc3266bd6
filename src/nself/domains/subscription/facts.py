"""Pure: what Stripe's objects say of prices, debits, discounts and trials, in the words of `prorations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

from nself.domains.connection.rules import items, part
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription.prorations import Debit, Facts, Item, Off, Price, Tier

LONGEST_TRIAL = 730
"""Days, at Stripe."""


def prices(snapshot: Snapshot) -> list[str]:
    """Of a subscription's items."""
    return [str(part(one, "price").get("id")) for one in items(snapshot, "items")]


def price(snapshot: Snapshot) -> Price:
    """Stripe's recurring price; one with tiers must have been fetched with them."""
    recurring, package = part(snapshot, "recurring"), part(snapshot, "transform_quantity")
    return Price(
        id=snapshot["id"],
        product=str(snapshot.get("product")),
        currency=snapshot["currency"],
        interval=recurring.get("interval") or "month",
        every=recurring.get("interval_count") or 1,
        metered=recurring.get("usage_type") == "metered",
        unit=_minor(snapshot, "unit_amount"),
        tiers=tuple(
            Tier(one["up_to"], _minor(one, "unit_amount"), _minor(one, "flat_amount"))
            for one in cast("list[Snapshot]", snapshot.get("tiers") or [])
        ),
        volume=snapshot.get("tiers_mode") == "volume",
        package=package.get("divide_by") or 1,
        package_up=package.get("round") != "down",
    )


def _minor(of: Snapshot, name: str) -> Fraction:
    exact = of.get(f"{name}_decimal")
    return Fraction(str(of.get(name) or 0 if exact is None else exact))


def trial_days(snapshot: Snapshot) -> int:
    """Days of trial that a price grants; 0 is none."""
    told = part(snapshot, "recurring").get("trial_period_days") or part(snapshot, "metadata").get("trial_period_days")
    text = str(told or 0)
    return int(text) if text.isascii() and text.isdigit() and int(text) <= LONGEST_TRIAL else 0


def off(coupon: Snapshot, item: str | None) -> Off | None:
    """A coupon as prorations see it; None for one that is for one invoice only."""
    if coupon.get("duration") == "once":
        return None
    products = part(coupon, "applies_to").get("products")
    percent = Fraction(str(coupon.get("percent_off") or 0)) * Fraction(1, 100)
    return Off(percent, coupon.get("amount_off"), frozenset(products) if products else None, item)


def line_details(line: Snapshot) -> Snapshot:
    """Of a line of an invoice, or of a pending item: what subscription's item it is for, and whether it is a proration."""
    parent = part(line, "parent")
    found = part(parent, "subscription_item_details")
    if found:
        return {**found, "credited": _lines(part(part(found, "proration_details"), "credited_items"))}
    details = part(part(line, "proration_details"), "credited_items")
    credited = _lines(part(details, "invoice_line_item_details"))
    return {**part(parent, "subscription_details"), "proration": bool(line.get("proration")), "credited": credited}


def _lines(credited: Snapshot) -> list[str]:
    return cast("list[str]", credited.get("invoice_line_items") or [])


def debits(item: str, lines: Sequence[Snapshot], pending: Sequence[Snapshot]) -> tuple[Debit, ...]:
    """What an item was charged in advance and not credited since; in any order."""
    return tuple(
        Debit(net(one), one["period"]["start"], one["period"]["end"], str(one.get("invoice") or one["id"]))
        for one in _open(item, lines, pending)
    )


def uncredited(snapshot: Snapshot, lines: Sequence[Snapshot], pending: Sequence[Snapshot]) -> list[Snapshot]:
    """What was charged in advance for time that is free since: a trial began in it, and nothing was credited."""
    began, ends = snapshot.get("trial_start"), snapshot.get("trial_end")
    if not began or not ends or began <= snapshot["start_date"]:
        return []
    return [
        one
        for item in items(snapshot, "items")
        for one in _open(item["id"], lines, pending)
        if net(one) > 0 and one["period"]["start"] < ends and began < one["period"]["end"]
    ]


def _open(item: str, lines: Sequence[Snapshot], pending: Sequence[Snapshot]) -> list[Snapshot]:
    """The lines that charged an item and were not credited."""
    every = [
        (one, details) for one in (*lines, *pending) if (details := line_details(one)).get("subscription_item") == item
    ]
    credited = {id for _, details in every for id in details["credited"]}
    found = {one["id"]: one for one, _ in every if one["amount"] >= 0 and one["id"] not in credited}
    for one, details in every:
        if one["amount"] < 0 and details["proration"] and not details["credited"]:
            found.pop(_credited(one, found), None)
    return list(found.values())


def _credited(credit: Snapshot, debits: Mapping[str, Snapshot]) -> str:
    """The debit that a credit without a reference is for: the first of its price and quantity that ends with it.

    It has none where the debit was on no invoice yet. Of a price that was changed without a proration: the last one.
    """
    same = [one for one in debits.values() if one["period"]["end"] == credit["period"]["end"]]
    same.sort(key=lambda one: cast("int", one["period"]["start"]))
    equal = [one for one in same if _sold(one) == _sold(credit)]
    return str((equal or same[::-1] or [{"id": ""}])[0]["id"])


def _sold(line: Snapshot) -> tuple[str, int | None]:
    return price_of_line(line), line.get("quantity")


def price_of_line(line: Snapshot) -> str:
    return str(part(part(line, "pricing"), "price_details").get("price") or "")


def net(line: Snapshot) -> int:
    """What a line really asked for: less its discounts."""
    return line["amount"] - sum(one["amount"] for one in cast("list[Snapshot]", line.get("discount_amounts") or []))


def facts(
    snapshot: Snapshot,
    known: Mapping[str, Price],
    lines: Sequence[Snapshot],
    pending: Sequence[Snapshot],
    offs: Sequence[Off],
) -> Facts:
    """`known` are the prices of its items, by id."""
    every = items(snapshot, "items")
    return Facts(
        status=snapshot["status"],
        classic=part(snapshot, "billing_mode").get("type") == "classic",
        anchor=snapshot["billing_cycle_anchor"],
        start=min(one["current_period_start"] for one in every),
        end=min(one["current_period_end"] for one in every),
        items=tuple(
            Item(one["id"], known[one["price"]["id"]], one.get("quantity") or 0, debits(one["id"], lines, pending))
            for one in every
        ),
        offs=tuple(offs),
        ends_at=snapshot.get("cancel_at"),
    )


def state(snapshot: Snapshot) -> dict[str, Any]:
    """What a preview stands on; where one of it is another, amounts may be others."""
    names = ("status", "billing_cycle_anchor", "cancel_at", "trial_end", "discounts", "latest_invoice")
    found: dict[str, Any] = {name: snapshot.get(name) for name in names}
    for one in items(snapshot, "items"):
        found[one["id"]] = [
            one["price"]["id"], one.get("quantity"), one.get("current_period_start"), one.get("current_period_end"),
            one.get("discounts"),
        ]  # fmt: skip
    return found
