"""What is sent to Stripe for a seed. Pure."""

from __future__ import annotations

import hashlib

import msgspec

from nself.domains.connection.model import Snapshot
from nself.domains.invoice.formulas import SELF, Step, step
from nself.domains.seed.model import DIGEST, MARK, SeedCustomer, SeedInvoice, SeedSubscription


def digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()[:16]


def _marks(one: SeedCustomer | SeedSubscription | SeedInvoice) -> dict[str, str]:
    return {MARK: one.key, DIGEST: digest(one)}


def customer(one: SeedCustomer) -> Snapshot:
    params: Snapshot = {"email": one.email, "metadata": {"nself_user": one.owner, **_marks(one)}}
    if one.name:
        params["name"] = one.name
    if one.country:
        params["address"] = {"country": one.country}
    if one.payment_method:
        params["payment_method"] = one.payment_method
        params["invoice_settings"] = {"default_payment_method": one.payment_method}
    return params


def price_key(one: SeedSubscription, currency: str) -> str:
    """By which the price of a plan is found again."""
    return f"{one.plan}-{one.amount}-{one.currency or currency}-{one.interval or 'month'}"


def price(one: SeedSubscription, currency: str) -> Snapshot:
    return {
        "unit_amount": one.amount,
        "currency": one.currency or currency,
        "recurring": {"interval": one.interval or "month"},
        "product_data": {"name": f"{one.plan} (seed)"},
        "metadata": {"plan": one.plan, MARK: price_key(one, currency)},
    }


def subscription(one: SeedSubscription, customer: str, price: str) -> Snapshot:
    params: Snapshot = {
        "customer": customer,
        "items": [{"price": price, "quantity": one.quantity or 1}],
        "payment_behavior": "allow_incomplete",
        "metadata": _marks(one),
    }
    return params | ({"trial_period_days": one.trial_days} if one.trial_days else {})


def invoice(one: SeedInvoice, customer: str, currency: str) -> list[Step]:
    """Draft, lines, and as far as its status says."""
    currency = one.currency or currency
    draft: Snapshot = {
        "customer": customer, "currency": currency, "collection_method": "charge_automatically", "auto_advance": False,
        "pending_invoice_items_behavior": "exclude", "metadata": _marks(one),
    }  # fmt: skip
    todo = [step("invoices", params=draft)]
    for line in one.lines:
        item = {"customer": customer, "invoice": SELF, "currency": currency, **msgspec.structs.asdict(line)}
        todo.append(step("invoiceitems", params=item))
    if one.status != "draft":
        todo.append(step("invoices", SELF, "finalize", params={"auto_advance": False}))
    if one.status == "paid" and sum(line.amount for line in one.lines):
        todo.append(step("invoices", SELF, "pay", params={}))
    if one.status == "void":
        todo.append(step("invoices", SELF, "void", params={}))
    return todo
