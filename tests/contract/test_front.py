"""What every call has in common: errors, idempotency, `expand`, pages."""

from typing import Any

import pytest
import stripe as official

from contract.target import Target
from sandbox.conftest import Sdk, drafted, paying_customer, refusal

KEY: Any = {"idempotency_key": "the-key"}


def test_errors_have_stripes_shape(api: Sdk) -> None:
    error = refusal(official.InvalidRequestError, api.customers.retrieve, "cus_x")
    assert (error.http_status, error.code, error.param) == (404, "resource_missing", "id")
    assert error.user_message == "No such customer: 'cus_x'"
    assert error.request_id.startswith("req_")
    assert error.request_id in error.json_body["error"]["request_log_url"]
    named = refusal(official.InvalidRequestError, api.invoices.create, {"customer": "cus_x"})
    assert (named.http_status, named.code, named.param) == (400, "resource_missing", "customer")


def test_missing_parameters(api: Sdk) -> None:
    error = refusal(official.InvalidRequestError, api.products.create, {})
    assert (error.code, error.param) == ("parameter_missing", "name")
    assert error.user_message == "Missing required param: name."


def test_a_replay_gives_the_same_answer(api: Sdk, target: Target) -> None:
    email = f"replay-{target.run}@example.com"
    first = api.customers.create({"email": email}, KEY)
    second = api.customers.create({"email": email}, KEY)
    assert second.last_response.body == first.last_response.body
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert [one.id for one in api.customers.list({"email": email}).data] == [first.id]
    error = refusal(official.IdempotencyError, api.customers.create, {"email": "other@example.com"}, KEY)
    assert error.http_status == 400


def test_failed_validation_is_not_kept(api: Sdk) -> None:
    refusal(official.InvalidRequestError, api.customers.create, {"balance": "abc"}, KEY)
    assert api.customers.create({"balance": 1}, KEY).balance == 1


def test_expand(api: Sdk) -> None:
    customer = paying_customer(api)
    invoice = drafted(api, customer.id, 500)
    wanted = ["customer.invoice_settings.default_payment_method", "payments.data.payment.payment_intent"]
    paid = api.invoices.pay(invoice.id, {"expand": wanted})
    assert paid.customer.invoice_settings.default_payment_method.card.last4 == "4242"
    assert paid.payments.data[0].payment.payment_intent.amount == 500
    path = "data.payment_intent.customer.invoice_settings"
    listed = api.charges.list({"customer": customer.id, "expand": ["data.payment_intent.payment_method"]}).data[0]
    assert listed.payment_intent.payment_method.id == customer.invoice_settings.default_payment_method
    assert api.invoices.retrieve(invoice.id).customer == customer.id
    too_deep = {"customer": customer.id, "expand": [f"{path}.default_payment_method"]}
    refusal(official.InvalidRequestError, api.charges.list, too_deep)


@pytest.mark.parametrize("path", ["name", "nothing"])
def test_not_expandable(api: Sdk, path: str) -> None:
    customer = api.customers.create({"name": "x"})
    error = refusal(official.InvalidRequestError, api.customers.retrieve, customer.id, {"expand": [path]})
    assert error.user_message.startswith(f"This property cannot be expanded ({path}).")


def test_pages_both_ways(api: Sdk, target: Target) -> None:
    email = f"page-{target.run}@example.com"
    made = [api.customers.create({"name": str(number), "email": email}).id for number in range(7)][::-1]

    def listed(**wanted: Any) -> tuple[list[str], bool]:
        found = api.customers.list({"email": email, "limit": 3, **wanted})
        return [one.id for one in found.data], found.has_more

    assert listed() == (made[:3], True)
    assert listed(starting_after=made[2]) == (made[3:6], True)
    assert listed(starting_after=made[5]) == (made[6:], False)
    assert listed(ending_before=made[6]) == (made[3:6], True)
    assert listed(ending_before=made[3]) == (made[:3], False)
    everyone = api.customers.list({"email": email, "limit": 2})
    assert everyone.url == "/v1/customers"
    assert [one.id for one in everyone.auto_paging_iter()] == made
