"""Test clocks, the sandbox's own clock, renewals and automatic finalisation."""

from itertools import pairwise

import pytest
import stripe

from sandbox.conftest import Receiver, Sandbox, Sdk, drafted, event_types, paying_customer, refusal
from sandbox.timing import DAY, HOUR, advance, at, clocked, invoices, lines, price, ready, subscribe


def test_a_test_clock(api: Sdk) -> None:
    clock = api.test_helpers.test_clocks.create({"frozen_time": at("2026-01-01"), "name": "Mine"})
    assert (clock.status, clock.name, clock.frozen_time) == ("ready", "Mine", at("2026-01-01"))
    moving = api.test_helpers.test_clocks.advance(clock.id, {"frozen_time": at("2026-02-01")})
    assert (moving.status, moving.frozen_time) == ("advancing", at("2026-01-01"))
    assert moving.status_details.advancing.target_frozen_time == at("2026-02-01")
    assert ready(api, clock.id).frozen_time == at("2026-02-01")
    assert advance(api, clock.id, "2026-03-01").frozen_time == at("2026-03-01")
    assert event_types(api, type="test_helpers.*")[:3] == [
        "test_helpers.test_clock.created",
        "test_helpers.test_clock.advancing",
        "test_helpers.test_clock.ready",
    ]
    assert [one.id for one in api.test_helpers.test_clocks.list().data] == [clock.id]
    assert api.test_helpers.test_clocks.delete(clock.id).deleted
    refusal(stripe.InvalidRequestError, api.test_helpers.test_clocks.retrieve, clock.id)


def test_a_test_clock_never_goes_back_and_not_too_far(api: Sdk) -> None:
    """Without subscriptions at most two years; with a monthly one from 31 January at most to 31 March."""
    customer = clocked(api, "2026-01-31")
    go = api.test_helpers.test_clocks.advance
    for wrong in (at("2026-01-31"), at("2026-01-30"), at("2028-01-31") + 1):
        error = refusal(stripe.InvalidRequestError, go, customer.test_clock, {"frozen_time": wrong})
        assert error.param == "frozen_time"
    subscribe(api, customer, price(api), price(api, 5))
    refusal(stripe.InvalidRequestError, go, customer.test_clock, {"frozen_time": at("2026-03-31") + 1})
    advance(api, customer.test_clock, "2026-03-31")


def test_what_lives_by_a_test_clock(api: Sdk) -> None:
    other = api.customers.create()
    customer = clocked(api, "2026-01-01", email="a@example.com")
    assert customer.created == at("2026-01-01")
    subscription = subscribe(api, customer, price(api))
    assert (subscription.created, subscription.test_clock) == (at("2026-01-01"), customer.test_clock)
    assert [one.id for one in api.customers.list().data] == [other.id]
    assert [one.id for one in api.customers.list({"test_clock": customer.test_clock}).data] == [customer.id]
    for named in ({"test_clock": customer.test_clock}, {"customer": customer.id}):
        assert [one.id for one in api.subscriptions.list(named).data] == [subscription.id]
    assert api.subscriptions.list().data == []
    invoice = api.invoices.retrieve(subscription.latest_invoice)
    assert (invoice.test_clock, invoice.status_transitions.paid_at) == (customer.test_clock, at("2026-01-01"))
    assert api.events.list().data[0].created > at("2026-06-01"), "events bear the sandbox's time"
    api.test_helpers.test_clocks.delete(customer.test_clock)
    for gone in (api.subscriptions, api.invoices):
        refusal(stripe.InvalidRequestError, gone.retrieve, (subscription.id, invoice.id)[gone is api.invoices])
    assert api.customers.retrieve(customer.id).deleted


def test_nothing_changes_under_way(api: Sdk, receiver: Receiver) -> None:
    """A receiver that does not answer holds the clock up; until it is ready, its customers cannot be changed."""
    receiver.subscribe(api, "invoice.created")
    customer = clocked(api, "2026-01-01")
    subscription = subscribe(api, customer, price(api))
    with receiver.silent():
        api.test_helpers.test_clocks.advance(customer.test_clock, {"frozen_time": at("2026-02-02")})
        refused = refusal(stripe.StripeError, api.customers.update, customer.id, {"name": "x"})
        assert refused.http_status == 429 and "underway" in (refused.user_message or "")
        assert api.customers.retrieve(customer.id).id == customer.id
    ready(api, customer.test_clock)
    assert len(invoices(api, subscription)) == 2


def test_a_renewal_in_stripes_order(api: Sdk) -> None:
    customer = clocked(api, "2026-01-31T10:00")
    subscription = subscribe(api, customer, price(api, 1000))
    mark = api.events.list({"limit": 1}).data[0].id
    advance(api, customer.test_clock, "2026-02-28T10:30")
    first, second = invoices(api, subscription)
    assert (second.status, second.billing_reason, second.auto_advance) == ("draft", "subscription_cycle", True)
    assert second.automatically_finalizes_at == at("2026-02-28T11:00")
    assert (second.period_start, second.period_end) == (at("2026-01-31T10:00"), at("2026-02-28T10:00"))
    assert lines(second) == [(1000, at("2026-02-28T10:00"), at("2026-03-31T10:00"))]
    assert api.subscriptions.retrieve(subscription.id).latest_invoice == second.id
    advance(api, customer.test_clock, "2026-02-28T11:00")
    paid = api.invoices.retrieve(second.id)
    assert (paid.status, paid.amount_paid, paid.attempt_count) == ("paid", 1000, 1)
    assert paid.status_transitions.paid_at == paid.status_transitions.finalized_at == at("2026-02-28T11:00")
    assert paid.automatically_finalizes_at is None and first.id != paid.id
    types = [one for one in event_types(api, ending_before=mark) if not one.startswith("test_helpers")]
    assert types == [
        "customer.subscription.updated",
        "invoice.created",
        "customer.updated",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
    ]
    renewed = api.events.list({"type": "customer.subscription.updated"}).data[0].data
    assert renewed.previous_attributes.latest_invoice == first.id
    assert renewed.previous_attributes["items"].data[0].current_period_end == at("2026-02-28T10:00")


@pytest.mark.parametrize(
    ("start", "interval", "ends"),
    [
        ("2026-01-31T10:00", "month", ["2026-02-28T10:00", "2026-03-31T10:00", "2026-04-30T10:00"]),
        ("2028-01-30T10:00", "month", ["2028-02-29T10:00", "2028-03-30T10:00", "2028-04-30T10:00"]),
        ("2028-02-29T23:59", "year", ["2029-02-28T23:59", "2030-02-28T23:59", "2031-02-28T23:59"]),
        ("2026-03-28T02:30", "day", ["2026-03-29T02:30", "2026-03-30T02:30", "2026-03-31T02:30"]),
        ("2026-10-24T02:30", "week", ["2026-10-31T02:30", "2026-11-07T02:30", "2026-11-14T02:30"]),
    ],
)
def test_month_ends_leap_years_and_daylight_saving(api: Sdk, start: str, interval: str, ends: list[str]) -> None:
    """The anchor's day comes back after a shorter month; the hour never shifts."""
    customer = clocked(api, start)
    subscription = subscribe(api, customer, price(api, interval=interval))
    for end, following in pairwise(ends):
        advance(api, customer.test_clock, end)
        item = api.subscriptions.retrieve(subscription.id)["items"].data[0]
        assert (item.current_period_start, item.current_period_end) == (at(end), at(following))


def test_the_sandboxs_own_clock(api: Sdk, sandbox: Sandbox) -> None:
    customer = paying_customer(api)
    subscription = subscribe(api, customer, price(api, interval="day"))
    before = sandbox.admin("GET", "clock")["now"]
    after = sandbox.admin("POST", "clock", {"advance": 3 * DAY + 2 * HOUR})
    assert 0 <= after["now"] - before - 3 * DAY - 2 * HOUR < 60
    made = invoices(api, subscription)
    assert [one.status for one in made] == ["paid"] * 4
    assert [one.created - subscription.created for one in made] == [0, DAY, 2 * DAY, 3 * DAY]
    assert [one.status_transitions.paid_at - one.created for one in made] == [0, HOUR, HOUR, HOUR]
    renewed = [one.created for one in api.events.list({"type": "customer.subscription.updated", "limit": 3}).data]
    assert renewed == [one.created for one in made[:0:-1]], "events bear the instant that was stood still at"
    assert sandbox.admin("POST", "clock", {"to": before}) == 400
    assert sandbox.admin("POST", "clock", {}) == 400
    assert api.customers.create().created >= after["now"]
    sandbox.admin("POST", "reset")
    assert sandbox.admin("GET", "clock")["offset"] == 0


def test_finalisation_waits_for_webhooks_at_most_72_hours(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api, "invoice.created")
    customer = paying_customer(api)
    subscription = subscribe(api, customer, price(api))
    receiver.wait_for(1)
    sandbox.fault(on="delivery", action="lose", events="invoice.created")
    sandbox.admin("POST", "clock", {"to": subscription["items"].data[0].current_period_end + 71 * HOUR})
    waiting = invoices(api, subscription)[1]
    assert (waiting.status, waiting.automatically_finalizes_at) == ("draft", waiting.created + 72 * HOUR)
    assert waiting.webhooks_delivered_at is None
    sandbox.admin("POST", "clock", {"advance": HOUR + 60})
    late = api.invoices.retrieve(waiting.id)
    assert late.status_transitions.paid_at == late.created + 72 * HOUR


def test_a_refused_webhook_is_retried_over_sandbox_time(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    """Refused 14 times, with delays of 0.05 s that double: delivered after 0.05 x (2^14 - 1) = 819.15 s.
    That is within the hour, so the invoice is finalised in time."""
    receiver.subscribe(api, "invoice.created")
    customer = paying_customer(api)
    subscription = subscribe(api, customer, price(api))
    receiver.wait_for(1)
    receiver.answers = [500] * 14
    sandbox.admin("POST", "clock", {"to": subscription["items"].data[0].current_period_end + 2 * HOUR})
    assert len(receiver.events) == 2
    second = invoices(api, subscription)[1]
    assert second.status_transitions.finalized_at == second.created + HOUR
    tried = sandbox.admin("GET", f"deliveries?event={receiver.events[1].id}")["deliveries"][0]["attempts"]
    assert len(tried) == 15
    assert 819 <= tried[-1]["at"] - tried[0]["at"] < 850


def test_an_invoice_that_advances_by_itself(api: Sdk) -> None:
    customer = clocked(api, "2026-01-01")
    invoice = drafted(api, customer.id, 900, auto_advance=True)
    assert invoice.automatically_finalizes_at == at("2026-01-01T01:00")
    still = drafted(api, customer.id, 700)
    advance(api, customer.test_clock, "2026-01-01T02:00")
    assert (api.invoices.retrieve(invoice.id).status, api.invoices.retrieve(still.id).status) == ("paid", "draft")
    opened = api.invoices.finalize_invoice(still.id, {"auto_advance": True})
    assert (opened.status, opened.next_payment_attempt) == ("open", at("2026-01-01T03:00"))
    stopped = api.invoices.update(still.id, {"auto_advance": False})
    assert stopped.next_payment_attempt is None
    api.invoices.update(still.id, {"auto_advance": True})
    advance(api, customer.test_clock, "2026-01-01T03:00")
    assert api.invoices.retrieve(still.id).status == "paid"


def test_an_invoice_to_be_sent(api: Sdk) -> None:
    customer = clocked(api, "2026-01-01")
    invoice = drafted(api, customer.id, 900, auto_advance=True, collection_method="send_invoice", days_until_due=7)
    advance(api, customer.test_clock, "2026-01-02")
    sent = api.invoices.retrieve(invoice.id)
    assert (sent.status, sent.attempted, sent.next_payment_attempt) == ("open", False, None)
    assert "invoice.sent" in event_types(api)


def test_a_customer_deleted_by_hand(api: Sdk, sandbox: Sandbox) -> None:
    """No operation canceled the subscription, so time does; nobody else's time stands still."""
    customer, other = paying_customer(api), paying_customer(api)
    gone = subscribe(api, customer, price(api, interval="day"))
    going_on = subscribe(api, other, price(api, interval="day"))
    invoice = drafted(api, customer.id, 900, auto_advance=True)
    sandbox.admin("POST", "edit", {"kind": "customer", "id": customer.id, "delete": True})
    sandbox.admin("POST", "clock", {"advance": DAY + 2 * HOUR})
    assert api.subscriptions.retrieve(gone.id).status == "canceled"
    assert "invoice.finalization_failed" in event_types(api)
    assert api.invoices.retrieve(invoice.id).last_finalization_error.code == "resource_missing"
    assert [one.status for one in invoices(api, going_on)] == ["paid", "paid"]
