"""Laws that hold whatever is done: prorations add up, totals follow from lines, events tell the whole story."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
import requests
import stripe
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from sandbox.conftest import Sdk, running, sdk
from sandbox.timing import DAY, advance, at, clocked, invoices, subscribe, use_card
from sandbox.timing import price as make_price
from stripe_sandbox.amounts import share_of
from stripe_sandbox.billing.prorations import unused
from stripe_sandbox.periods import boundary, period_around

_START = 1_767_225_600  # 2026-01-01
_MONTH = 31 * DAY

amounts = st.integers(0, 10**7)
instants = st.lists(st.integers(0, _MONTH), min_size=1, max_size=6).map(sorted)


def _debit(amount: int, start: int, end: int) -> dict[str, Any]:
    return {"amount": amount, "start": start, "end": end}


@given(st.lists(amounts, min_size=7, max_size=7), instants)
def test_prorations_of_a_split_period_add_up(prices: list[int], cuts: list[int]) -> None:
    """Flexible: what is charged in the end, however often the price changed, is each price for its own time,
    within a cent a line. With one price for all it is that price."""
    charged, lines = prices[0], 1
    debit = _debit(prices[0], 0, _MONTH)
    for price, cut in zip(prices[1:], cuts, strict=False):
        credit = unused(debit, debit["amount"], cut)
        if cut < _MONTH:
            debit = _debit(share_of(price, _MONTH - cut, _MONTH), cut, _MONTH)
            charged += debit["amount"] + (credit.amount if credit else 0)
            lines += 2
    bounds = [0, *cuts, _MONTH]
    exact_times_month = sum(
        price * (end - start) for price, start, end in zip(prices, bounds, bounds[1:], strict=False)
    )
    assert abs(charged * _MONTH - exact_times_month) <= lines * _MONTH


@given(amounts, st.integers(0, _MONTH))
def test_used_and_unused_are_the_whole(amount: int, cut: int) -> None:
    credit = unused(_debit(amount, 0, _MONTH), amount, cut)
    used = share_of(amount, cut, _MONTH)
    assert abs(amount - used + (credit.amount if credit else 0)) <= 1


@given(
    st.integers(0, 4 * 10**9), st.sampled_from(["day", "week", "month", "year"]), st.integers(1, 12),
    st.integers(0, 10**9),
)  # fmt: skip
def test_periods_follow_each_other_without_a_gap(anchor: int, interval: str, count: int, later: int) -> None:
    at = anchor + later
    start, end = period_around(anchor, interval, count, at)
    assert start <= at < end
    assert period_around(anchor, interval, count, start) == (start, end)
    assert period_around(anchor, interval, count, end)[0] == end
    assert boundary(anchor, interval, count, 0) == anchor


# Each example is a sandbox of its own with a hundred calls, so a failure is not shrunk for minutes.
_SLOW: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow],
    "phases": (Phase.explicit, Phase.reuse, Phase.generate),
}

# A story: operations on one customer, in any order; refusals are part of it.


@dataclass
class Story:
    api: Sdk
    customer: Any
    prices: list[Any]
    subscriptions: list[Any] = field(default_factory=list[Any])

    def attempt(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except stripe.CardError:
            return None
        except stripe.InvalidRequestError:
            return None
        except stripe.APIError as error:
            if error.http_status != 501:
                raise
            return None

    def last(self) -> Any:
        return self.api.subscriptions.retrieve(self.subscriptions[-1].id) if self.subscriptions else None

    def subscribe(self, price: int, trial: int, mode: str) -> None:
        params = {
            "customer": self.customer.id,
            "items": [{"price": self.prices[price].id}],
            "trial_period_days": trial,
            "billing_mode": {"type": mode},
        }
        made = self.attempt(self.api.subscriptions.create, params)
        self.subscriptions += [made] if made else []

    def change(self, price: int, quantity: int, behavior: str) -> None:
        last = self.last()
        if last:
            item = {"id": last["items"].data[0].id, "price": self.prices[price].id, "quantity": quantity}
            self.attempt(self.api.subscriptions.update, last.id, {"items": [item], "proration_behavior": behavior})

    def cancel(self, now: bool) -> None:
        last = self.last()
        if last and now:
            self.attempt(self.api.subscriptions.cancel, last.id, {"prorate": True, "invoice_now": True})
        elif last:
            self.attempt(self.api.subscriptions.update, last.id, {"cancel_at_period_end": True})

    def card(self, name: str) -> None:
        use_card(self.api, self.customer, name)

    def owe(self, amount: int) -> None:
        self.api.invoice_items.create({"customer": self.customer.id, "amount": amount, "currency": "usd"})

    def balance(self, amount: int) -> None:
        params = {"amount": amount, "currency": "usd"}
        self.api.customers.balance_transactions.create(self.customer.id, params)

    def settle(self, how: str) -> None:
        for invoice in self.api.invoices.list({"status": "open", "limit": 1}).data:
            self.attempt(getattr(self.api.invoices, how), invoice.id)

    def update(self, field: str, value: Any) -> None:
        last = self.last()
        if last:
            self.attempt(self.api.subscriptions.update, last.id, {field: value})

    def use(self, units: int) -> None:
        payload = {"stripe_customer_id": self.customer.id, "value": str(units)}
        clock = self.api.test_helpers.test_clocks.retrieve(self.customer.test_clock)
        event = {"event_name": "calls", "payload": payload, "timestamp": clock.frozen_time}
        self.attempt(self.api.billing.meter_events.create, event)

    def refund(self, amount: int) -> None:
        for charge in self.api.charges.list({"limit": 1}).data:
            self.attempt(self.api.refunds.create, {"charge": charge.id, "amount": amount})

    def credit(self, amount: int, back: int) -> None:
        """A note about the last invoice; when it was paid, `back` goes to the card and the rest to the balance."""
        for invoice in self.api.invoices.list({"limit": 1}).data:
            parts = {"refund_amount": back, "credit_amount": amount - back} if invoice.status == "paid" else {}
            self.attempt(self.api.credit_notes.create, {"invoice": invoice.id, "amount": amount, **parts})

    def wait(self, days: int) -> None:
        clock = self.api.test_helpers.test_clocks.retrieve(self.customer.test_clock)
        advance(self.api, clock.id, clock.frozen_time + days * DAY + 3601)


_STEPS = st.one_of(
    st.tuples(st.just("subscribe"), st.integers(0, 3), st.sampled_from([0, 5]), st.sampled_from(["flexible", "classic"])),
    st.tuples(st.just("change"), st.integers(0, 3), st.integers(0, 3),
              st.sampled_from(["create_prorations", "always_invoice", "none"])),
    st.tuples(st.just("cancel"), st.booleans()),
    st.tuples(st.just("card"), st.sampled_from(["pm_card_visa", "pm_card_chargeCustomerFail"])),
    st.tuples(st.just("owe"), st.integers(-2000, 2000)),
    st.tuples(st.just("balance"), st.integers(-1500, 1500)),
    st.tuples(st.just("settle"), st.sampled_from(["pay", "void_invoice", "mark_uncollectible"])),
    st.tuples(st.just("use"), st.integers(1, 500)),
    st.tuples(st.just("update"), st.just("billing_cycle_anchor"), st.just("now")),
    st.tuples(st.just("update"), st.just("trial_end"), st.sampled_from(["now", _START + 20 * DAY, _START + 40 * DAY])),
    st.tuples(st.just("update"), st.just("discounts"), st.just("")),
    st.tuples(st.just("update"), st.just("pause_collection"),
              st.sampled_from(["", *({"behavior": one} for one in ("void", "mark_uncollectible", "keep_as_draft"))])),
    st.tuples(st.just("refund"), st.integers(1, 6000)),
    st.integers(1, 5000).flatmap(lambda one: st.tuples(st.just("credit"), st.just(one), st.integers(0, one))),
    st.tuples(st.just("wait"), st.integers(1, 13)),
)  # fmt: skip


def _tell(api: Sdk, steps: list[Any]) -> Story:
    """One customer with a discount and a tax, subscribed; then the steps, then a fortnight."""
    coupon = api.coupons.create({"percent_off": 12.5, "duration": "forever"})
    tax = api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    customer = clocked(api, _START)
    meter = {"display_name": "Calls", "event_name": "calls", "default_aggregation": {"formula": "sum"}}
    metered = {"usage_type": "metered", "meter": api.billing.meters.create(meter).id}
    prices = [
        make_price(api, 0),
        make_price(api, 1999),
        make_price(api, 40_001, "year"),
        make_price(api, "1.5", recurring=metered),
    ]
    story = Story(api, customer, prices)
    discounted = {"discounts": [{"coupon": coupon.id}], "default_tax_rates": [tax.id]}
    params = {"customer": customer.id, "items": [{"price": prices[1].id}], **discounted}
    story.subscriptions.append(api.subscriptions.create(params))
    for name, *arguments in steps:
        getattr(story, name)(*arguments)
    story.wait(14)
    return story


def _check_invoices(api: Sdk) -> None:
    """Total = lines - discounts + taxes that come on top; what the balance does not pay is due."""
    for invoice in api.invoices.list({"limit": 100}).auto_paging_iter():
        lines = sum(line.amount for line in api.invoices.line_items.list(invoice.id, {"limit": 100}).auto_paging_iter())
        discounts = sum(one.amount for one in invoice.total_discount_amounts)
        taxes = sum(one.amount for one in invoice.total_taxes if one.tax_behavior == "exclusive")
        assert invoice.total == lines - discounts + taxes, invoice.id
        if invoice.status in ("open", "paid"):
            assert invoice.total + invoice.starting_balance == invoice.amount_due + invoice.ending_balance, invoice.id
            assert invoice.amount_due == invoice.amount_paid + invoice.amount_remaining, invoice.id
            assert invoice.amount_due >= 0


def _check_events(api: Sdk) -> None:
    """Replayed from the first to the last, the events give each object as it is, and each says truly what was before.
    Stripe has no event for an invoice item that is invoiced, nor for a coupon that is used once more."""
    kinds = {
        "customer": api.customers, "subscription": api.subscriptions, "invoice": api.invoices,
        "payment_intent": api.payment_intents, "charge": api.charges, "price": api.prices, "product": api.products,
        "coupon": api.coupons, "tax_rate": api.tax_rates, "payment_method": api.payment_methods,
        "credit_note": api.credit_notes, "refund": api.refunds, "test_helpers.test_clock": api.test_helpers.test_clocks,
    }  # fmt: skip
    state: dict[str, dict[str, Any]] = {}
    for event in reversed(list(api.events.list({"limit": 100}).auto_paging_iter())):
        data = event.to_dict()["data"]
        shown = data["object"]
        if shown["object"] not in kinds:
            continue
        if "previous_attributes" in data:
            assert _before(shown, data["previous_attributes"]) == state[shown["id"]], event.type
        state[shown["id"]] = shown
    for identifier, shown in state.items():
        now = kinds[shown["object"]].retrieve(identifier).to_dict()
        now.pop("times_redeemed", shown.pop("times_redeemed", None))
        assert now == shown


def _before(shown: dict[str, Any], previous: dict[str, Any]) -> dict[str, Any]:
    """Hashes name what changed in them, a key that was not there as null; all else is named whole."""
    before = dict(shown)
    for name, old in previous.items():
        now = shown.get(name)
        both = isinstance(old, dict) and isinstance(now, dict) and now.get("object") != "list"
        before[name] = _before(now, old) if both else old
    return before


def _check_money(api: Sdk) -> None:
    """What went back, by refunds and credit notes, is never more than was paid or asked."""
    for charge in api.charges.list({"limit": 100}).auto_paging_iter():
        back = sum(one.amount for one in api.refunds.list({"charge": charge.id, "limit": 100}).auto_paging_iter())
        assert back == charge.amount_refunded <= charge.amount_captured, charge.id
    for invoice in api.invoices.list({"limit": 100}).auto_paging_iter():
        notes = list(api.credit_notes.list({"invoice": invoice.id, "limit": 100}).auto_paging_iter())
        assert sum(one.total for one in notes) <= max(invoice.total, 0), invoice.id
        assert sum(one.post_payment_amount for one in notes) == invoice.post_payment_credit_notes_amount
        assert sum(one.pre_payment_amount for one in notes) == invoice.pre_payment_credit_notes_amount


class Twice(HTTPAdapter):
    """Sends every change twice under one key; the second answer must be the first one's bytes.

    Only what was refused before any work was done is not kept."""

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        if request.method == "POST":
            request.headers.setdefault("Idempotency-Key", uuid4().hex)
        first = super().send(request, *arguments, **options)
        if request.method == "POST":
            again = super().send(request, *arguments, **options)
            replayed = "Idempotent-Replayed" in again.headers
            assert again.status_code == first.status_code
            assert again.content == first.content if replayed else first.status_code in (400, 501), first.text
        return first


@given(st.lists(_STEPS, max_size=7))
@settings(max_examples=8, **_SLOW)
def test_whatever_happens(steps: list[Any]) -> None:
    _hold_the_laws(steps)


@pytest.mark.long
@given(st.lists(_STEPS, max_size=14))
@settings(max_examples=150, **_SLOW)
def test_whatever_happens_for_longer(steps: list[Any]) -> None:
    _hold_the_laws(steps)


def _hold_the_laws(steps: list[Any]) -> None:
    with TemporaryDirectory() as folder, running(Path(folder) / "traffic") as started, sdk(started.url) as api:
        api.session.mount(started.url, Twice())
        _tell(api, steps)
        api.session.mount(started.url, HTTPAdapter())
        _check_invoices(api)
        _check_events(api)
        _check_money(api)


@given(
    st.sampled_from(["flexible", "classic"]), st.sampled_from(["month", "year"]), st.sampled_from(["usd", "jpy", "kwd"]),
    st.lists(st.integers(100, 10**6), min_size=5, max_size=5), st.lists(st.integers(1, 364), max_size=4),
)  # fmt: skip
@settings(max_examples=10, **_SLOW)
def test_a_split_period_costs_what_each_price_costs_for_its_time(
    mode: str, interval: str, currency: str, amounts: list[int], days: list[int]
) -> None:
    """Through the API: first invoice and prorations are each price for its own time, within a cent a line."""
    length = 30 if interval == "month" else 365
    start = at("2026-04-01")
    cuts = sorted({start + day % length * DAY for day in days} - {start})
    with TemporaryDirectory() as folder, running(Path(folder) / "traffic") as started, sdk(started.url) as api:
        customer = clocked(api, start)
        prices = [make_price(api, amount, interval, currency) for amount in amounts]
        made = subscribe(api, customer, prices[0], billing_mode={"type": mode})
        for cut, price in zip(cuts, prices[1:], strict=False):
            advance(api, customer.test_clock, cut)
            item = {"id": made["items"].data[0].id, "price": price.id}
            api.subscriptions.update(made.id, {"items": [item]})
        pending = [one.amount for one in api.invoice_items.list({"limit": 100}).auto_paging_iter()]
        charged = invoices(api, made)[0].total + sum(pending)
    bounds = [start, *cuts, start + length * DAY]
    spans = zip(amounts, bounds, bounds[1:], strict=False)
    exact = sum(amount * (end - begin) for amount, begin, end in spans)
    assert len(pending) == 2 * len(cuts)
    assert abs(charged * length * DAY - exact) <= (1 + len(pending)) * length * DAY
