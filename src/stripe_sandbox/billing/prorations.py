"""Prorations: credit for the time that is not used any more, and the price of the time that remains.

Per second, two lines an item, each rounded by itself, not discountable; only for what is billed in advance.
`flexible` credits what was really debited, one credit for each debit; `classic` credits the current price.
Amounts are net of the discounts that run (`proration_discounts=included`), of a price's whole period: in `flexible` an
amount off is spread over the items in proportion, in `classic` evenly. A coupon for once takes nothing off a proration.
https://docs.stripe.com/billing/subscriptions/prorations, /billing-mode/compare and the changelog of 2025-09-30.clover
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from stripe_sandbox.amounts import amount_for, exact_amount, share_of
from stripe_sandbox.billing import usage
from stripe_sandbox.billing.cycle import Period, full_period, items_of
from stripe_sandbox.billing.lines import charged, description, metered, price_of, pricing, proration_description
from stripe_sandbox.call import Call
from stripe_sandbox.currencies import plain
from stripe_sandbox.resource import RESOURCES
from stripe_sandbox.resources import discounts
from stripe_sandbox.store import Object
from stripe_sandbox.totals import Discount


@dataclass(frozen=True)
class Credit:
    amount: int  # in minor units, never positive
    period: Period
    debit: dict[str, Any] | None = None


def unused(debit: dict[str, Any], net: int, at: int) -> Credit | None:
    """The part of one debit that lies after an instant.

    3000 debited for 30 days, credited after 10 of them: 3000 x 20 / 30 = -2000.
    """
    start, end = max(debit["start"], at), debit["end"]
    if start >= end or net == 0:
        return None
    return Credit(-share_of(net, end - start, debit["end"] - debit["start"]), Period(start, end), debit)


def credit(call: Call, subscription: Object, item: Object, at: int) -> None:
    """For an item as it was before it changes. What was credited is debited no more."""
    price = price_of(call, item)
    if metered(price):
        return
    for one in _credits(call, subscription, item, price, at):
        credited = _credited(call, one.debit)
        _make(call, subscription, item, price, one.amount, one.period, "Unused", credited)
    call.change(item, {"_debits": []})


def _credits(call: Call, subscription: Object, item: Object, price: Object, at: int) -> list[Credit]:
    if subscription["billing_mode"]["type"] == "flexible":
        found = [unused(debit, _net(call, debit), at) for debit in item["_debits"]]
        return [one for one in found if one is not None]
    rest = Period(at, item["current_period_end"])
    if not item["_debits"] or rest.start >= rest.end:
        return []
    amount = -_share(call, subscription, item, rest)
    return [Credit(amount, rest)] if amount else []


def _share(call: Call, subscription: Object, item: Object, rest: Period) -> int:
    """What an item costs for the rest of its period, less discounts, rounded once."""
    whole = full_period(subscription, rest.start)
    net = _after_discounts(call, subscription)[item["id"]]
    return share_of(net, rest.end - rest.start, whole.end - whole.start)


def _after_discounts(call: Call, subscription: Object) -> dict[str, Fraction]:
    """Each item's whole period, less its own discounts and then those of the subscription or its customer."""
    items = {one["id"]: one for one in items_of(call, subscription)}
    prices = {name: price_of(call, one) for name, one in items.items()}
    left = {
        name: Fraction(exact_amount(prices[name], Decimal(one["quantity"])))
        for name, one in items.items()
        if not metered(prices[name])
    }
    for name in left:
        own = discounts.running(call, items[name]["discounts"])
        for discount in discounts.for_prorations(call, own, subscription["currency"]):
            _take_off(discount, left, [name], prices, even=False)
    customer = call.load("customer", subscription["customer"])
    given = discounts.inherited(call, customer, subscription)
    for discount in discounts.for_prorations(call, given, subscription["currency"]):
        _take_off(discount, left, list(left), prices, even=subscription["billing_mode"]["type"] == "classic")
    return left


def _take_off(
    discount: Discount, left: dict[str, Fraction], names: list[str], prices: dict[str, Object], *, even: bool
) -> None:
    products = discount.products
    concerned = [one for one in names if left[one] > 0 and (products is None or prices[one]["product"] in products)]
    base = sum(left[one] for one in concerned)
    for one in concerned:
        if discount.percent_off is not None:
            left[one] -= left[one] * Fraction(discount.percent_off) / 100
        elif even:
            left[one] -= min(left[one], Fraction(discount.amount_off or 0, len(concerned)))
        else:
            left[one] -= min(Fraction(discount.amount_off or 0), base) * left[one] / base


def _net(call: Call, debit: dict[str, Any]) -> int:
    """What was really debited: less the discounts that the line got."""
    line = call.look("line_item", debit["line"]) if debit.get("line") else None
    discounts: list[Object] = (line or {}).get("discount_amounts") or []
    return debit["amount"] - sum(one["amount"] for one in discounts)


def _credited(call: Call, debit: dict[str, Any] | None) -> tuple[str, str] | None:
    """The invoice and the line that a credit is for, once the debit stands on one."""
    if debit is None:
        return None
    if debit.get("line"):
        line = call.load("line_item", debit["line"])
    else:
        found = call.find("line_item", _item=debit["item"])
        line = found[0] if found else None
    return None if line is None or line.get("deleted") else (line["invoice"], line["id"])


def debit(call: Call, subscription: Object, item: Object, at: int) -> None:
    """For an item as it is now, until its period ends."""
    price = price_of(call, item)
    if metered(price):
        call.change(item, {"_debits": [], "_billed_until": at})
        return
    rest = Period(at, item["current_period_end"])
    if rest.start >= rest.end:
        return
    amount = _share(call, subscription, item, rest)
    made = _make(call, subscription, item, price, amount, rest, "Remaining", None)
    debited = {"amount": amount, "start": rest.start, "end": rest.end, "item": made["id"]}
    call.change(item, {"_debits": [*item["_debits"], debited]})


def bill_usage(call: Call, subscription: Object, item: Object, at: int) -> None:
    """Flexible billing: a metered item that goes is billed for what was used until then."""
    price = price_of(call, item)
    period = Period(item["_billed_until"], at)
    if subscription["billing_mode"]["type"] != "flexible" or not metered(price) or period.start >= period.end:
        return
    used = usage.used(call, price, subscription["customer"], period)
    amount = amount_for(price, used)
    if amount:
        fields = {
            "description": description(call, price, used),
            "discountable": True,
            "proration": False,
            "quantity": int(used),
            "quantity_decimal": plain(used),
        }
        _create(call, subscription, item, price, amount, period, fields)
    call.change(item, {"_billed_until": at})


def _make(
    call: Call, subscription: Object, item: Object, price: Object, amount: int, period: Period, kind: str,
    credited: tuple[str, str] | None,
) -> Object:  # fmt: skip
    lines: Object | None = None if credited is None else {
        "invoice_line_item_details": {"invoice": credited[0], "invoice_line_items": [credited[1]]},
        "type": "invoice_line_items",
    }  # fmt: skip
    fields: dict[str, Any] = {
        "description": proration_description(call, price, item["quantity"], kind, period.start),
        "discountable": False,
        "proration": True,
        "proration_details": {"credited_items": lines, "discount_amounts": []},
        "quantity": item["quantity"],
        "quantity_decimal": plain(Decimal(item["quantity"])),
    }
    return _create(call, subscription, item, price, amount, period, fields)


def _create(
    call: Call, subscription: Object, item: Object, price: Object, amount: int, period: Period, fields: dict[str, Any]
) -> Object:
    made = call.create(
        RESOURCES["invoiceitem"],
        {
            "amount": amount,
            "currency": subscription["currency"],
            "customer": subscription["customer"],
            "date": call.now,
            "net_amount": amount,
            "parent": {
                "subscription_details": {"subscription": subscription["id"], "subscription_item": item["id"]},
                "type": "subscription_details",
            },
            "period": {"start": period.start, "end": period.end},
            "pricing": pricing(price),
            "_subscription": subscription["id"],
            "_tax_rates": item["_tax_rates"],
            **fields,
        },
    )
    call.emit("invoiceitem.created", made)
    return made


def full_price(call: Call, subscription: Object, item: Object) -> int:
    """What the item costs in a whole period, were it billed in advance; 0 when it is metered."""
    price = price_of(call, item)
    period = full_period(subscription, call.now)
    return 0 if metered(price) else charged(call, subscription, price, item["quantity"], period)
