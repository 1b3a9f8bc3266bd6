"""Invoices by hand at a bench: customers, prices, and the commands as an operator gives them."""

from __future__ import annotations

import json
from typing import Any

from money_bench import Bench

from nself.app import App
from nself.domains.invoice.inputs import AddItem, CreateInvoice, Finalize, Pay, ReadInvoice
from nself.domains.invoice.model import Changed
from nself.domains.invoice.service import edit, finish
from nself.domains.invoice.service.preview import preview


class Hand:
    """An operator at `app`."""

    def __init__(self, bench: Bench, **settings: str) -> None:
        self.bench, self.sandbox, self.app = bench, bench.sandbox, bench.app(**settings)

    def customer(self, card: str | None = "pm_card_visa", **fields: Any) -> str:
        given: dict[str, Any] = {"email": "user@example.com", **fields}
        if card:
            given |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
        return str(self.sandbox.post("/v1/customers", **{k: v for k, v in given.items() if v is not None})["id"])

    def price(self, amount: str = "1500", currency: str = "usd", **fields: Any) -> str:
        product = self.sandbox.post("/v1/products", name="Thing")["id"]
        unit = {} if fields.keys() & {"tiers", "unit_amount_decimal"} else {"unit_amount_decimal": amount}
        return str(self.sandbox.post("/v1/prices", product=product, currency=currency, **unit, **fields)["id"])

    def rate(self, percentage: str = "8.25", inclusive: bool = False) -> str:
        made = {"display_name": "Tax", "percentage": percentage, "inclusive": inclusive}
        return str(self.sandbox.post("/v1/tax_rates", **made)["id"])

    def create(self, customer: str, **fields: Any) -> Changed:
        return edit.create(self.app, CreateInvoice(customer=customer, **fields))

    def add(self, invoice: str, **fields: Any) -> Changed:
        return edit.add_item(self.app, AddItem(invoice=invoice, **fields))

    def finalize(self, invoice: str, app: App | None = None, **fields: Any) -> Changed:
        return finish.finalize(app or self.app, Finalize(invoice=invoice, **fields))

    def pay(self, invoice: str, app: App | None = None, **fields: Any) -> Changed:
        return finish.pay(app or self.app, Pay(invoice=invoice, **fields))

    def preview(self, invoice: str) -> list[str]:
        return preview(self.app, ReadInvoice(invoice=invoice)).outcome

    def there(self, invoice: str) -> dict[str, Any]:
        """At Stripe."""
        return self.sandbox.get(f"/v1/invoices/{invoice}")

    def balance(self, customer: str) -> int:
        return int(self.sandbox.get(f"/v1/customers/{customer}")["balance"])

    def charged(self, customer: str) -> list[int]:
        return [one["amount_received"] for one in self.sandbox.payments(customer)]

    def same(self, *invoices: str) -> None:
        """The mirror has these invoices as Stripe has them."""
        for id in invoices:
            ((ours,),) = self.bench.sql("select snapshot from billing_invoices where invoice_id = %s", id)
            theirs = json.loads(json.dumps(self.there(id)), parse_float=str)
            assert {name: ours[name] for name in theirs} == theirs
