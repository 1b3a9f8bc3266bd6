"""Customers, payment methods, products and prices."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, event_types, paying_customer, refusal


def test_a_customers_life(api: Sdk) -> None:
    made = api.customers.create({"email": "a@example.com", "name": "A", "metadata": {"user": "1", "plan": "x"}})
    assert (made.balance, made.currency, made.livemode) == (0, None, False)
    changed = api.customers.update(
        made.id, {"name": "", "address": {"line1": "Main St", "country": "DE"}, "metadata": {"plan": "", "new": "y"}}
    )
    assert changed.name is None
    assert changed.address.line1 == "Main St"
    assert changed.address.city is None
    assert changed.metadata.to_dict() == {"user": "1", "new": "y"}
    assert api.customers.update(made.id, {"metadata": ""}).metadata.to_dict() == {}
    assert api.customers.delete(made.id).deleted
    gone = api.customers.retrieve(made.id)
    assert gone.deleted
    assert "email" not in gone
    assert refusal(stripe.InvalidRequestError, api.customers.update, made.id, {"name": "B"}).http_status == 404
    assert refusal(stripe.InvalidRequestError, api.customers.delete, made.id).code == "resource_missing"
    assert api.customers.list().data == []
    assert event_types(api) == ["customer.created", "customer.updated", "customer.updated", "customer.deleted"]


def test_an_update_that_changes_nothing_is_no_event(api: Sdk) -> None:
    made = api.customers.create({"name": "A"})
    api.customers.update(made.id, {"name": "A"})
    assert event_types(api) == ["customer.created"]


def test_previous_attributes_name_only_what_changed(api: Sdk) -> None:
    made = api.customers.create({"name": "A", "metadata": {"a": "1", "b": "2"}, "address": {"city": "Ulm"}})
    api.customers.update(made.id, {"metadata": {"b": "3", "c": "4"}, "address": {"city": "Bonn"}})
    event = api.events.list({"type": "customer.updated"}).data[0]
    assert event.data.previous_attributes.to_dict() == {
        "metadata": {"b": "2", "c": None},
        "address": {"city": "Ulm"},
    }
    assert event.data.object.metadata.c == "4"
    first = api.events.list({"type": "customer.created"}).data[0]
    assert first.data.object.address.city == "Ulm"
    assert "previous_attributes" not in first.data


def test_a_default_payment_method(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_mastercard")
    method = customer.invoice_settings.default_payment_method
    assert method.startswith("pm_")
    assert method != "pm_card_mastercard"
    assert [one.id for one in api.customers.payment_methods.list(customer.id).data] == [method]
    assert [one.id for one in api.payment_methods.list({"customer": customer.id, "type": "card"}).data] == [method]
    assert api.customers.payment_methods.retrieve(customer.id, method).card.brand == "mastercard"
    api.payment_methods.detach(method)
    assert api.customers.retrieve(customer.id).invoice_settings.default_payment_method is None
    assert api.customers.payment_methods.list(customer.id).data == []
    assert event_types(api)[-2:] == ["payment_method.detached", "customer.updated"]


def test_a_default_payment_method_must_be_the_customers(api: Sdk) -> None:
    other = paying_customer(api).invoice_settings.default_payment_method
    customer = api.customers.create()
    change = {"invoice_settings": {"default_payment_method": other}}
    error = refusal(stripe.InvalidRequestError, api.customers.update, customer.id, change)
    assert error.param == "invoice_settings[default_payment_method]"


def test_attaching(api: Sdk) -> None:
    customer, other = api.customers.create(), api.customers.create()
    method = api.payment_methods.create({"type": "card", "card": _numbered("4242424242424242")})
    assert method.customer is None
    assert (method.card.last4, method.card.exp_month, method.card.exp_year) == ("4242", 8, 2031)
    attached = api.payment_methods.attach(method.id, {"customer": customer.id})
    assert attached.customer == customer.id
    assert attached.card.checks.cvc_check == "pass"
    refusal(stripe.InvalidRequestError, api.payment_methods.attach, method.id, {"customer": other.id})
    api.payment_methods.detach(method.id)
    refusal(stripe.InvalidRequestError, api.payment_methods.detach, method.id)
    error = refusal(stripe.InvalidRequestError, api.payment_methods.attach, method.id, {"customer": other.id})
    assert "may not be used again" in error.user_message
    missing = refusal(stripe.InvalidRequestError, api.payment_methods.attach, "pm_x", {"customer": other.id})
    assert (missing.http_status, missing.user_message) == (404, "No such PaymentMethod: 'pm_x'")


def test_a_payment_method_is_changed(api: Sdk) -> None:
    method = paying_customer(api).invoice_settings.default_payment_method
    changed = api.payment_methods.update(
        method, {"billing_details": {"name": "A"}, "card": {"exp_year": 2040}, "metadata": {"a": "b"}}
    )
    assert (changed.billing_details.name, changed.card.exp_year, changed.metadata.a) == ("A", 2040, "b")
    assert event_types(api)[-1] == "payment_method.updated"


def _numbered(number: str) -> dict[str, Any]:
    return {"number": number, "exp_month": 8, "exp_year": 2031, "cvc": "123"}


@pytest.mark.parametrize(
    ("number", "code", "decline_code"),
    [
        ("4000000000000002", "card_declined", "generic_decline"),
        ("4000000000009995", "card_declined", "insufficient_funds"),
        ("4000000000009987", "card_declined", "lost_card"),
        ("4000000000009979", "card_declined", "stolen_card"),
        ("4000000000000069", "expired_card", "expired_card"),
        ("4000000000000127", "incorrect_cvc", "incorrect_cvc"),
        ("4000000000000119", "processing_error", "processing_error"),
        ("4000000000006975", "card_declined", "card_velocity_exceeded"),
    ],
)
def test_declined_cards_cannot_be_saved(api: Sdk, number: str, code: str, decline_code: str) -> None:
    customer = api.customers.create()
    method = api.payment_methods.create({"type": "card", "card": _numbered(number)})
    error = refusal(stripe.CardError, api.payment_methods.attach, method.id, {"customer": customer.id})
    assert (error.http_status, error.code) == (402, code)
    assert error.json_body["error"]["decline_code"] == decline_code
    assert api.customers.payment_methods.list(customer.id).data == []


def test_real_numbers_are_refused_and_forgotten(api: Sdk) -> None:
    for number, code in (("4111111111111111", "card_declined"), ("4242424242424241", "incorrect_number")):
        error = refusal(stripe.CardError, api.payment_methods.create, {"type": "card", "card": _numbered(number)})
        assert error.code == code
    assert error.json_body["error"].get("decline_code") is None
    assert api.payment_methods.list().data == []


def test_tokens_that_are_not_published_are_not_guessed(api: Sdk) -> None:
    error = refusal(stripe.APIError, api.payment_methods.retrieve, "pm_card_threeDSecure3Required")
    assert error.code == "sandbox_unsupported"
    assert api.payment_methods.retrieve("pm_card_visa").id != api.payment_methods.retrieve("pm_card_visa").id


def test_products_and_prices(api: Sdk) -> None:
    product = api.products.create({"name": "API", "id": "prod_api", "metadata": {"a": "b"}})
    refusal(stripe.InvalidRequestError, api.products.create, {"name": "API", "id": "prod_api"})
    price = api.prices.create({"product": product.id, "currency": "USD", "unit_amount": 1500, "lookup_key": "standard"})
    assert (price.type, price.currency, str(price.unit_amount_decimal)) == ("one_time", "usd", "1500")
    tiny = api.prices.create({"product": product.id, "currency": "usd", "unit_amount_decimal": "0.000000000001"})
    assert (tiny.unit_amount, f"{tiny.unit_amount_decimal:f}") == (None, "0.000000000001")
    monthly = api.prices.create(
        {"product_data": {"name": "P"}, "currency": "eur", "unit_amount": 1, "recurring": {"interval": "month"}}
    )
    assert (monthly.type, monthly.recurring.interval_count) == ("recurring", 1)
    assert [one.id for one in api.prices.list({"lookup_keys": ["standard"]}).data] == [price.id]
    assert [one.id for one in api.prices.list({"product": product.id, "type": "one_time"}).data] == [tiny.id, price.id]
    assert api.products.update(product.id, {"default_price": price.id}).default_price == price.id
    refusal(stripe.InvalidRequestError, api.products.update, product.id, {"default_price": monthly.id})
    refusal(stripe.InvalidRequestError, api.products.delete, product.id)
    assert not api.prices.update(price.id, {"active": False, "nickname": "old"}).active
    assert [one.id for one in api.prices.list({"active": True, "product": product.id}).data] == [tiny.id]
    other = api.products.create({"name": "gone"})
    assert api.products.delete(other.id).deleted
    assert refusal(stripe.InvalidRequestError, api.products.retrieve, other.id).http_status == 404


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "unit_amount"),
        ({"unit_amount": 1, "unit_amount_decimal": "1.5"}, "unit_amount"),
        ({"unit_amount": -1}, "unit_amount"),
        ({"unit_amount_decimal": "0.0000000000001"}, "unit_amount_decimal"),
        ({"unit_amount": 1, "currency": "xyz"}, "currency"),
        ({"unit_amount": 1, "lookup_key": "taken"}, "lookup_key"),
        ({"unit_amount": 1, "product": "prod_none"}, "product"),
        ({"unit_amount": 1, "recurring": {"interval": "month", "interval_count": 37}}, "recurring[interval_count]"),
    ],
)
def test_wrong_prices(api: Sdk, params: dict[str, Any], param: str) -> None:
    product = api.products.create({"name": "P"})
    api.prices.create({"product": product.id, "currency": "usd", "unit_amount": 1, "lookup_key": "taken"})
    wrong = {"product": product.id, "currency": "usd", **params}
    assert refusal(stripe.InvalidRequestError, api.prices.create, wrong).param == param


def test_what_prices_cannot_do_here(api: Sdk) -> None:
    product = api.products.create({"name": "P"})
    base = {"product": product.id, "currency": "usd", "unit_amount": 1}
    for beyond in ({"custom_unit_amount": {"enabled": True}}, {"transfer_lookup_key": True}):
        assert refusal(stripe.APIError, api.prices.create, {**base, **beyond}).code == "sandbox_unsupported"


def test_the_account_and_its_balance(api: Sdk) -> None:
    assert api.accounts.retrieve_current().id.startswith("acct_")
    assert api.balance.retrieve().pending[0].amount == 0
    api.payment_intents.create(
        {"amount": 700, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True, "off_session": True}
    )
    assert [(one.currency, one.amount) for one in api.balance.retrieve().pending] == [("eur", 700)]
