"""The five scenarios of PyPI's billing-e2e 0.1.0 (MIT), written against real test clocks, as tests of our own.

Each of its steps is one line here, in its words: card, subscribe, advance (which also lets the drafts be finalised,
as its `settle` does), change_price, cancel, expect_event, subscription, invoice, customer.
"""

import time
from calendar import monthrange
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, refusal
from sandbox.timing import DAY, advance, price

_CARDS = {
    "ok": "pm_card_visa",
    "declined": "pm_card_chargeDeclined",
    "fails_later": "pm_card_chargeCustomerFail",
    "3ds": "pm_card_threeDSecure2Required",
}


class Run:
    """A test clock and a customer on it, as billing-e2e makes them for each scenario."""

    def __init__(self, api: Sdk) -> None:
        self.api = api
        self.clock = api.test_helpers.test_clocks.create({"frozen_time": int(time.time()), "name": "billing-e2e x"})
        self.customer = api.customers.create({"test_clock": self.clock.id, "email": "billing-e2e+1@example.com"})
        self.subscription_id = ""
        self.seen: set[str] = set()

    def card(self, name: str) -> None:
        method = self.api.payment_methods.attach(_CARDS[name], {"customer": self.customer.id})
        default = {"invoice_settings": {"default_payment_method": method.id}}
        self.api.customers.update(self.customer.id, default)

    def subscribe(self, one: Any) -> None:
        items = [{"price": one.id}]
        self.subscription_id = self.api.subscriptions.create({"customer": self.customer.id, "items": items}).id

    @property
    def subscription(self) -> Any:
        return self.api.subscriptions.retrieve(self.subscription_id)

    @property
    def invoice(self) -> Any:
        return self.api.invoices.list({"subscription": self.subscription_id, "limit": 1}).data[0]

    def advance(self, to: int) -> None:
        self.clock = advance(self.api, self.clock.id, to)
        drafts = self.api.invoices.list({"customer": self.customer.id, "status": "draft", "limit": 100}).data
        due = [one.automatically_finalizes_at for one in drafts if one.automatically_finalizes_at]
        if due:
            self.clock = advance(self.api, self.clock.id, max(due) + 60)

    def advance_days(self, days: int) -> None:
        self.advance(self.clock.frozen_time + days * DAY)

    def advance_to_period_end(self) -> None:
        self.advance(self.subscription["items"].data[0].current_period_end)

    def advance_a_month(self) -> None:
        now = datetime.fromtimestamp(self.clock.frozen_time, UTC)
        year, month = now.year + now.month // 12, now.month % 12 + 1
        then = now.replace(year=year, month=month, day=min(now.day, monthrange(year, month)[1]))
        self.advance(int(then.timestamp()))

    def change_price(self, one: Any) -> None:
        item = {"id": self.subscription["items"].data[0].id, "price": one.id}
        change = {"items": [item], "proration_behavior": "always_invoice"}
        self.api.subscriptions.update(self.subscription_id, change)

    def expect_event(self, kind: str) -> None:
        """The next one of this customer that was not returned before."""
        found = self.api.events.list({"type": kind, "limit": 100}).data[::-1]
        of_run = [one for one in found if one.data.object.to_dict().get("customer") == self.customer.id]
        fresh = [one.id for one in of_run if one.id not in self.seen]
        assert fresh, f"no new {kind}"
        self.seen.add(fresh[0])


@pytest.fixture
def run(api: Sdk) -> Run:
    return Run(api)


@pytest.fixture
def monthly(api: Sdk) -> Any:
    return price(api, 1000)


def test_renewal(run: Run, monthly: Any) -> None:
    run.card("ok")
    run.subscribe(monthly)
    run.expect_event("invoice.paid")
    run.advance_to_period_end()
    run.expect_event("invoice.paid")
    assert run.subscription.status == "active"


def test_failed_renewal(run: Run, monthly: Any) -> None:
    run.card("ok")
    run.subscribe(monthly)
    run.expect_event("invoice.paid")
    run.card("fails_later")
    run.advance_to_period_end()
    run.expect_event("invoice.payment_failed")
    assert run.subscription.status == "past_due"
    run.advance_a_month()
    run.expect_event("customer.subscription.deleted")
    assert run.subscription.status == "canceled"


def test_plan_change_with_proration(run: Run, api: Sdk, monthly: Any) -> None:
    upgrade = price(api, 2500)
    run.card("ok")
    run.subscribe(monthly)
    run.expect_event("invoice.paid")
    run.advance_days(10)
    run.change_price(upgrade)
    run.expect_event("invoice.paid")
    assert (run.subscription.status, run.subscription["items"].data[0].price.id) == ("active", upgrade.id)
    assert (run.invoice.billing_reason, run.invoice.status) == ("subscription_update", "paid")
    assert run.invoice.amount_paid > 0
    run.advance_days(5)
    run.change_price(monthly)
    assert (run.subscription.status, run.subscription["items"].data[0].price.id) == ("active", monthly.id)
    assert run.invoice.billing_reason == "subscription_update" and run.invoice.total < 0
    assert api.customers.retrieve(run.customer.id).balance < 0


def test_cancellation_at_period_end(run: Run, api: Sdk, monthly: Any) -> None:
    run.card("ok")
    run.subscribe(monthly)
    run.expect_event("invoice.paid")
    run.advance_days(3)
    api.subscriptions.update(run.subscription_id, {"cancel_at_period_end": True})
    assert (run.subscription.status, run.subscription.cancel_at_period_end) == ("active", True)
    run.advance_to_period_end()
    run.expect_event("customer.subscription.deleted")
    assert run.subscription.status == "canceled"


def test_card_problems_at_signup(run: Run, api: Sdk, monthly: Any) -> None:
    refusal(stripe.CardError, run.card, "declined")
    run.card("3ds")
    run.subscribe(monthly)
    assert run.subscription.status == "incomplete"
    run.advance_days(1)
    run.expect_event("customer.subscription.updated")
    assert run.subscription.status == "incomplete_expired"
    api.test_helpers.test_clocks.delete(run.clock.id)
