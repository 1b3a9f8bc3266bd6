"""Realistic sets of any size, the same for the same seed and clock: customers with cards, subscriptions and their
latest invoices, paid; a tenth of the subscriptions canceled. No events: it is as if all that was long ago.
"""

import random
import string
from dataclasses import dataclass
from typing import Any

import msgspec

from stripe_sandbox import payments, totals
from stripe_sandbox.call import Call
from stripe_sandbox.cards import BY_TOKEN
from stripe_sandbox.periods import period_around
from stripe_sandbox.resource import RESOURCES
from stripe_sandbox.resources.payment_methods import card_fields
from stripe_sandbox.schedule import plan
from stripe_sandbox.store import Object

_FIRST = ("Ada", "Alan", "Barbara", "Edsger", "Grace", "Hedy", "Ivan", "Joan", "Ken", "Leslie", "Margaret", "Niklaus")
_LAST = ("Lovelace", "Turing", "Liskov", "Dijkstra", "Hopper", "Lamarr", "Clarke", "Thompson", "Lamport", "Hamilton")
_PLANS = {"Starter": (900, 9000), "Pro": (2900, 29000), "Enterprise": (29900, 299000)}  # a month, a year
_CURRENCIES = {"usd": ("US", 70), "eur": ("DE", 20), "jpy": ("JP", 10)}
_CARDS = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex", "pm_card_visa_debit")
_OLDEST = 400 * 86_400
_ALPHABET = string.ascii_letters + string.digits


class Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    customers: int = 100
    subscriptions: int | None = None  # at most one a customer; eight of ten have one
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.customers <= 1_000_000:
            raise ValueError("customers must be from 0 to 1000000")
        if self.subscriptions is not None and not 0 <= self.subscriptions <= self.customers:
            raise ValueError("subscriptions must be from 0 to the number of customers")


class AlreadyPlanted(Exception):
    pass


@dataclass(frozen=True)
class _Price:
    id: str
    product: str
    amount: int
    interval: str
    name: str


class _Garden:
    """Objects from one template a kind: they are written at once and never changed, so inner hashes are shared."""

    def __init__(self, call: Call, seed: int) -> None:
        self.call = call
        self.chance = random.Random(seed)
        self.made: dict[str, int] = {}
        self._templates = {kind: resource.new("", 0) for kind, resource in RESOURCES.items()}

    def new_id(self, kind: str) -> str:
        return f"{RESOURCES[kind].prefix}_{''.join(self.chance.choices(_ALPHABET, k=24))}"

    def add(self, kind: str, identifier: str, created: int, fields: dict[str, Any]) -> str:
        template = self._templates[kind]
        obj: Object = {**template, **fields, "id": identifier}
        if "created" in template:
            obj["created"] = created
        plan(obj)
        self.call.store.insert(obj, created)
        self.made[kind] = self.made.get(kind, 0) + 1
        return identifier


def plant(call: Call, wanted: Seed) -> dict[str, int]:
    garden = _Garden(call, wanted.seed)
    first = garden.new_id("product")
    if call.store.get("product", first) is not None:
        raise AlreadyPlanted
    garden.chance.seed(wanted.seed)
    prices = _catalog(garden)
    subscribed = wanted.customers * 8 // 10 if wanted.subscriptions is None else wanted.subscriptions
    for number in range(wanted.customers):
        _customer(garden, number, prices, subscribed=number < subscribed)
    return garden.made


def _catalog(garden: _Garden) -> dict[str, list[_Price]]:
    prices: dict[str, list[_Price]] = {currency: [] for currency in _CURRENCIES}
    created = garden.call.now - _OLDEST
    for name, amounts in _PLANS.items():
        product = garden.add("product", garden.new_id("product"), created, {"name": name, "updated": created})
        for currency in _CURRENCIES:
            for interval, amount in zip(("month", "year"), amounts, strict=True):
                recurring = {"interval": interval, "interval_count": 1, "meter": None, "usage_type": "licensed"}
                fields = {
                    "currency": currency,
                    "product": product,
                    "recurring": recurring,
                    "type": "recurring",
                    "unit_amount": amount,
                    "unit_amount_decimal": str(amount),
                }
                price = garden.add("price", garden.new_id("price"), created, fields)
                prices[currency].append(_Price(price, product, amount, interval, name))
    return prices


def _customer(garden: _Garden, number: int, prices: dict[str, list[_Price]], *, subscribed: bool) -> None:
    chance, call = garden.chance, garden.call
    weights = [weight for _, weight in _CURRENCIES.values()]
    currency = chance.choices(list(_CURRENCIES), weights)[0]
    first, last = chance.choice(_FIRST), chance.choice(_LAST)
    created = call.now - chance.randrange(86_400, _OLDEST)
    email = f"{first}.{last}.{number}@example.com".lower()
    customer, method = garden.new_id("customer"), garden.new_id("payment_method")
    template = RESOURCES["customer"].fields["invoice_settings"]
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    known = {"email": email, "name": f"{first} {last}"}
    fields = {
        **known,
        "address": {**address, "country": _CURRENCIES[currency][0]},
        "currency": currency if subscribed else None,
        "invoice_prefix": f"S{number:07d}",
        "invoice_settings": {**template, "default_payment_method": method},
        "metadata": {"seed": str(number)},
        "next_invoice_sequence": 2 if subscribed else 1,
    }
    garden.add("customer", customer, created, fields)
    card = BY_TOKEN[chance.choice(_CARDS)]
    billing = {**RESOURCES["payment_method"].fields["billing_details"], **known}
    about = {
        "billing_details": billing,
        "card": card_fields(call, card),
        "customer": customer,
        "_number": card.number,
    }
    garden.add("payment_method", method, created, about)
    if subscribed:
        _subscription(garden, {"id": customer, "number": f"S{number:07d}-0001", **fields}, method, about,
                      chance.choice(prices[currency]), created)  # fmt: skip


def _subscription(
    garden: _Garden, customer: Object, method: str, card: Object, price: _Price, created: int
) -> None:  # fmt: skip
    call = garden.call
    start, end = period_around(created, price.interval, 1, call.now)
    ended = start + 3600 if garden.chance.random() < 0.1 and start + 3600 < call.now else None
    subscription, item, invoice = (garden.new_id(kind) for kind in ("subscription", "subscription_item", "invoice"))
    fields: dict[str, Any] = {
        "billing_cycle_anchor": created,
        "currency": customer["currency"],
        "customer": customer["id"],
        "latest_invoice": invoice,
        "start_date": created,
        "status": "canceled" if ended else "active",
        "_cycle": {"interval": price.interval, "interval_count": 1},
        "_period_end": end,
        "_period_start": start,
    }
    if ended:
        fields |= {"canceled_at": ended, "ended_at": ended}
    garden.add("subscription", subscription, created, fields)
    line = garden.new_id("line_item")
    about_item = {
        "current_period_end": end,
        "current_period_start": start,
        "quantity": 1,
        "subscription": subscription,
        "_billed_until": start,
        "_debits": [{"amount": price.amount, "start": start, "end": end, "line": line}],
        "_price": price.id,
    }
    garden.add("subscription_item", item, created, about_item)
    parent: Object = {"quote_details": None, "subscription_details": {"metadata": {}, "subscription": subscription},
              "type": "subscription_details"}  # fmt: skip
    reason = "subscription_create" if start == created else "subscription_cycle"
    about = {"billing_reason": reason, "currency": customer["currency"], "customer": customer["id"]}
    _paid_invoice(garden, invoice, start, customer, {**about, "parent": parent, "_subscription": subscription}, price)
    _line(garden, line, invoice, (start, end), price, customer["currency"], subscription, item)
    _payment(garden, invoice, start, customer, method, card, price.amount)


def _paid_invoice(
    garden: _Garden, invoice: str, at: int, customer: Object, about: dict[str, Any], price: _Price
) -> None:  # fmt: skip
    worked_out = totals.work_out([totals.Line(price.amount)])
    transitions = RESOURCES["invoice"].fields["status_transitions"]
    fields = {
        **about,
        "amount_due": worked_out.total,
        "amount_paid": worked_out.total,
        "attempt_count": 1,
        "attempted": True,
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "effective_at": at,
        "ending_balance": 0,
        "number": customer["number"],
        "period_end": at,
        "period_start": at,
        "status": "paid",
        "status_transitions": {**transitions, "finalized_at": at, "paid_at": at},
        "subtotal": worked_out.subtotal,
        "subtotal_excluding_tax": worked_out.subtotal_excluding_tax,
        "total": worked_out.total,
        "total_excluding_tax": worked_out.total_excluding_tax,
    }
    garden.add("invoice", invoice, at, fields)


def _line(
    garden: _Garden, line: str, invoice: str, period: tuple[int, int], price: _Price, currency: str, subscription: str,
    item: str,
) -> None:  # fmt: skip
    details = {
        "invoice_item": None,
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": subscription,
        "subscription_item": item,
    }
    pricing = {
        "price_details": {"price": price.id, "product": price.product},
        "type": "price_details",
        "unit_amount_decimal": str(price.amount),
    }
    fields = {
        "amount": price.amount,
        "currency": currency,
        "description": f"1 × {price.name} (at {price.amount} {currency} / {price.interval})",
        "invoice": invoice,
        "parent": {"invoice_item_details": None, "subscription_item_details": details,
                   "type": "subscription_item_details"},
        "period": {"start": period[0], "end": period[1]},
        "pricing": pricing,
        "subscription": subscription,
        "subtotal": price.amount,
    }  # fmt: skip
    garden.add("line_item", line, period[0], fields)


def _payment(
    garden: _Garden, invoice: str, at: int, customer: Object, method: str, about: Object, amount: int
) -> None:  # fmt: skip
    intent, charge, entry = (garden.new_id(kind) for kind in ("payment_intent", "charge", "balance_transaction"))
    money = {"amount": amount, "currency": customer["currency"]}
    paid_by = {**money, "customer": customer["id"], "payment_method": method, "status": "succeeded"}
    secret = f"{intent}_secret_{''.join(garden.chance.choices(_ALPHABET, k=25))}"
    succeeded = {"amount_received": amount, "client_secret": secret, "latest_charge": charge, "_invoice": invoice}
    garden.add("payment_intent", intent, at, {**paid_by, **succeeded})
    taken = payments.captured_card(about, amount)
    garden.add("charge", charge, at, {**paid_by, **taken, "balance_transaction": entry, "payment_intent": intent})
    booked = {"net": amount, "available_on": at + 2 * 86_400, "reporting_category": "charge", "type": "charge"}
    garden.add("balance_transaction", entry, at, {**money, **booked, "source": charge})
    made = {
        "amount_paid": amount,
        "amount_requested": amount,
        "currency": customer["currency"],
        "invoice": invoice,
        "payment": {"payment_intent": intent, "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": at},
    }
    garden.add("invoice_payment", garden.new_id("invoice_payment"), at, made)
