"""Subscriptions: the first invoice, incomplete ones, changes and cancellation."""

from datetime import UTC, datetime
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from sandbox.conftest import Sandbox, Sdk, event_types, paying_customer, refusal
from stripe_sandbox.periods import period_end


def monthly(api: Sdk, amount: int = 1000, **fields: Any) -> Any:
    recurring = {"interval": "month"}
    return api.prices.create(
        {"product_data": {"name": "Plan"}, "currency": "usd", "unit_amount": amount, "recurring": recurring, **fields}
    )


def test_created_active_with_a_paid_invoice(api: Sdk) -> None:
    """2 x 1000 for the month and a pending item of 50 make 2050."""
    customer = paying_customer(api)
    price = monthly(api)
    api.invoice_items.create({"customer": customer.id, "amount": 50, "currency": "usd"})
    mark = api.events.list({"limit": 1}).data[0].id
    subscription = api.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": price.id, "quantity": 2}],
            "metadata": {"user": "1"},
            "expand": ["latest_invoice.payments"],
        }
    )
    item = subscription["items"].data[0]
    assert (subscription.status, item.quantity, item.price.id) == ("active", 2, price.id)
    assert item.current_period_end == period_end(item.current_period_start, "month", 1)
    invoice = subscription.latest_invoice
    assert (invoice.status, invoice.amount_paid, invoice.billing_reason) == ("paid", 2050, "subscription_create")
    assert invoice.parent.subscription_details.subscription == subscription.id
    assert invoice.parent.subscription_details.metadata.user == "1"
    assert [line.amount for line in invoice.lines.data] == [50, 2000]
    line = invoice.lines.data[1]
    assert line.parent.subscription_item_details.subscription_item == item.id
    assert (line.period.start, line.period.end) == (item.current_period_start, item.current_period_end)
    assert invoice.payments.data[0].status == "paid"
    types = event_types(api, ending_before=mark)
    assert types[:3] == ["customer.subscription.created", "invoice.created", "customer.updated"]
    assert types[-4:] == [
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
        "invoice_payment.paid",
    ]
    assert [one.id for one in api.invoices.list({"subscription": subscription.id}).data] == [invoice.id]
    created = api.events.list({"type": "customer.subscription.created"}).data[0]
    assert created.data.object.status == "incomplete"


def test_a_declined_first_payment_is_incomplete(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_chargeCustomerFail")
    params = {"customer": customer.id, "items": [{"price": monthly(api).id}]}
    subscription = api.subscriptions.create({**params, "expand": ["latest_invoice"]})
    assert (subscription.status, subscription.latest_invoice.status) == ("incomplete", "open")
    assert subscription.latest_invoice.attempt_count == 1
    good = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    api.invoices.pay(subscription.latest_invoice.id, {"payment_method": good.id})
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_error_if_incomplete_leaves_nothing(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_chargeCustomerFail")
    price = monthly(api)
    mark = api.events.list({"limit": 1}).data[0].id
    params = {"customer": customer.id, "items": [{"price": price.id}], "payment_behavior": "error_if_incomplete"}
    refusal(stripe.CardError, api.subscriptions.create, params)
    assert api.subscriptions.list({"status": "all"}).data == []
    assert api.invoices.list().data == []
    assert event_types(api, ending_before=mark) == []


def test_default_incomplete_waits_for_its_confirmation(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    subscription = api.subscriptions.create(
        {
            "customer": customer.id,
            "items": [{"price": monthly(api).id}],
            "payment_behavior": "default_incomplete",
            "expand": ["latest_invoice.confirmation_secret"],
        }
    )
    assert subscription.status == "incomplete"
    intent = subscription.latest_invoice.confirmation_secret.client_secret.partition("_secret_")[0]
    api.payment_intents.confirm(intent, {"payment_method": "pm_card_authenticationRequired"})
    assert api.subscriptions.retrieve(subscription.id).status == "incomplete"
    sandbox.admin("POST", f"payment_intents/{intent}/authenticate")
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_free_ones_need_no_card(api: Sdk) -> None:
    customer = api.customers.create()
    subscription = api.subscriptions.create({"customer": customer.id, "items": [{"price": monthly(api, 0).id}]})
    assert subscription.status == "active"
    assert api.payment_intents.list().data == []


def test_without_a_card(api: Sdk) -> None:
    customer = api.customers.create()
    params = {"customer": customer.id, "items": [{"price": monthly(api).id}]}
    assert refusal(stripe.InvalidRequestError, api.subscriptions.create, params).code == "resource_missing"
    assert api.subscriptions.list().data == []


def test_cancel_at_period_end_and_back(api: Sdk) -> None:
    customer = paying_customer(api)
    made = api.subscriptions.create({"customer": customer.id, "items": [{"price": monthly(api).id}]})
    later = api.subscriptions.update(made.id, {"cancel_at_period_end": True, "metadata": {"a": "b"}})
    assert (later.status, later.cancel_at) == ("active", made["items"].data[0].current_period_end)
    assert later.cancellation_details.reason == "cancellation_requested"
    back = api.subscriptions.update(made.id, {"cancel_at_period_end": False})
    assert (back.cancel_at, back.canceled_at, back.metadata.a) == (None, None, "b")
    types = event_types(api, type="customer.subscription.*")
    assert types == ["customer.subscription.created", *["customer.subscription.updated"] * 3]


def test_cancel_now(api: Sdk) -> None:
    customer = paying_customer(api)
    made = api.subscriptions.create({"customer": customer.id, "items": [{"price": monthly(api).id}]})
    canceled = api.subscriptions.cancel(made.id)
    assert (canceled.status, canceled.ended_at) == ("canceled", canceled.canceled_at)
    assert event_types(api)[-1] == "customer.subscription.deleted"
    assert api.subscriptions.list({"customer": customer.id}).data == []
    assert [one.id for one in api.subscriptions.list({"status": "ended"}).data] == [made.id]
    assert refusal(stripe.InvalidRequestError, api.subscriptions.cancel, made.id).http_status == 404
    refusal(stripe.InvalidRequestError, api.subscriptions.update, made.id, {"description": "x"})


def test_cancelling_an_incomplete_one_voids_its_invoice(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_chargeCustomerFail")
    made = api.subscriptions.create({"customer": customer.id, "items": [{"price": monthly(api).id}]})
    api.subscriptions.cancel(made.id)
    assert api.invoices.retrieve(made.latest_invoice).status == "void"


def test_a_deleted_customers_subscriptions_end(api: Sdk) -> None:
    customer = paying_customer(api)
    made = api.subscriptions.create({"customer": customer.id, "items": [{"price": monthly(api).id}]})
    api.customers.delete(customer.id)
    assert api.subscriptions.retrieve(made.id).status == "canceled"
    assert event_types(api)[-2:] == ["customer.subscription.deleted", "customer.deleted"]


def test_the_default_payment_method_of_the_subscription_comes_first(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_chargeCustomerFail")
    good = api.payment_methods.attach("pm_card_mastercard", {"customer": customer.id})
    items = [{"price": monthly(api).id}]
    made = api.subscriptions.create({"customer": customer.id, "items": items, "default_payment_method": good.id})
    assert made.status == "active"
    assert [one.id for one in api.subscriptions.list({"price": items[0]["price"]}).data] == [made.id]


@pytest.mark.parametrize("fields", [{"recurring": ""}, {"active": False}, {"currency": "eur"}])
def test_wrong_prices(api: Sdk, fields: dict[str, Any]) -> None:
    customer = paying_customer(api)
    good = monthly(api)
    other = {"product_data": {"name": "P"}, "currency": "usd", "unit_amount": 1, "recurring": {"interval": "month"}}
    made = {name: value for name, value in {**other, **fields}.items() if value != ""}
    wrong = api.prices.create(made)
    params = {"customer": customer.id, "items": [{"price": good.id}, {"price": wrong.id}]}
    error = refusal(stripe.InvalidRequestError, api.subscriptions.create, params)
    assert error.param == "items[1][price]"


@pytest.mark.parametrize(
    "fields", [{"payment_behavior": "pending_if_incomplete"}, {"collection_method": "send_invoice"}]
)
def test_what_is_not_here(api: Sdk, fields: dict[str, Any]) -> None:
    customer = paying_customer(api)
    params = {"customer": customer.id, "items": [{"price": monthly(api).id}], **fields}
    error = refusal(stripe.StripeError, api.subscriptions.create, params)
    assert (error.http_status, error.code) == (501, "sandbox_unsupported")


@pytest.mark.parametrize(
    ("start", "interval", "count", "end"),
    [
        ("2026-01-31T10:00", "month", 1, "2026-02-28T10:00"),
        ("2028-01-31T10:00", "month", 1, "2028-02-29T10:00"),
        ("2026-01-31T10:00", "month", 2, "2026-03-31T10:00"),
        ("2026-12-15T00:00", "month", 3, "2027-03-15T00:00"),
        ("2024-02-29T23:59", "year", 1, "2025-02-28T23:59"),
        ("2026-03-28T12:00", "day", 2, "2026-03-30T12:00"),
        ("2026-03-28T12:00", "week", 1, "2026-04-04T12:00"),
    ],
)
def test_period_ends(start: str, interval: str, count: int, end: str) -> None:
    assert period_end(_at(start), interval, count) == _at(end)


def _at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.integers(1, 36))
def test_a_month_later_is_the_same_day_or_the_months_last(start: datetime, count: int) -> None:
    start = start.replace(microsecond=0, tzinfo=UTC)
    end = datetime.fromtimestamp(period_end(int(start.timestamp()), "month", count), UTC)
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == count
    assert end.timetz() == start.timetz()
    assert end.day == start.day or (end.day < start.day and _is_last(end))


def _is_last(moment: datetime) -> bool:
    return datetime.fromtimestamp(moment.timestamp() + 86400, UTC).month != moment.month
