"""Payments of a customer at the sandbox. Needs tests/faults on the path."""

from __future__ import annotations

from typing import Any

from money_bench import Bench

from nself.app import App
from nself.domains.payment.inputs import CreatePayment
from nself.domains.payment.model import CreatedPayment
from nself.domains.payment.service import pay


class Till:
    """One customer with a card, and what Stripe has in its books for them."""

    def __init__(self, bench: Bench, settings: dict[str, str] | None = None) -> None:
        self.bench, self.sandbox = bench, bench.sandbox
        self.app = bench.app(**(settings or {}))
        self.customer = self.known("user")

    def known(self, user: str, card: str = "pm_card_visa") -> str:
        """Another user with a customer; its id."""
        self.bench.create(self.app, user, card)
        ((id,),) = self.bench.sql("select customer_id from billing_customers where user_id = %s", user)
        return str(id)

    def pay(self, app: App | None = None, amount: int = 1000, **more: Any) -> CreatedPayment:
        given = {"customer": self.customer, **more}
        return pay.create(app or self.app, CreatePayment(amount=amount, **given))

    def charged(self) -> list[int]:
        """What Stripe took from the customer, in the order of amounts."""
        return sorted(one["amount_received"] for one in self.sandbox.payments(self.customer))

    def refunded(self, charge: str) -> list[int]:
        return sorted(one["amount"] for one in self.sandbox.get("/v1/refunds", charge=charge, limit=100))

    def hear(self) -> None:
        """Stripe's events arrive and are processed."""
        self.bench.deliver(self.app)
        self.bench.work(self.app)

    def net(self, charge: str) -> int:
        """What the ledger says is left of a charge."""
        ((sum,),) = self.bench.sql("select sum(amount_minor) from billing_transactions where charge = %s", charge)
        return int(sum)
