"""`Idempotency-Key`: replays, refusals, and what is not kept."""

import threading
from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, drafted, paying_customer, refusal, sdk
from stripe_sandbox import idempotency

KEY: Any = {"idempotency_key": "the-key"}


def test_a_replay_gives_the_same_bytes(api: Sdk) -> None:
    first = api.customers.create({"name": "A"}, KEY)
    second = api.customers.create({"name": "A"}, KEY)
    assert second.last_response.body == first.last_response.body
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert second.last_response.headers["Original-Request"] == first.last_response.headers["Request-Id"]
    assert second.last_response.headers["Request-Id"] != first.last_response.headers["Request-Id"]
    assert len(api.customers.list().data) == 1
    assert len(api.events.list({"type": "customer.created"}).data) == 1


def test_other_parameters_are_refused(api: Sdk) -> None:
    api.customers.create({"name": "A"}, KEY)
    error = refusal(stripe.IdempotencyError, api.customers.create, {"name": "B"}, KEY)
    assert error.http_status == 400
    assert error.user_message.startswith(
        "Keys for idempotent requests can only be used with the same parameters they were first used with."
    )
    error = refusal(stripe.IdempotencyError, api.products.create, {"name": "A"}, KEY)
    assert "can only be used for the same endpoint" in error.user_message


def test_the_order_of_parameters_does_not_matter(api: Sdk) -> None:
    first = api.customers.create({"name": "A", "email": "a@example.com"}, KEY)
    assert api.customers.create({"email": "a@example.com", "name": "A"}, KEY).id == first.id


def test_failed_validation_is_not_kept(api: Sdk) -> None:
    refusal(stripe.InvalidRequestError, api.customers.create, {"balance": "abc"}, KEY)
    assert api.customers.create({"balance": 1}, KEY).balance == 1


def test_a_refusal_of_the_work_itself_is_kept(api: Sdk) -> None:
    refusal(stripe.InvalidRequestError, api.products.update, "prod_1", {"name": "A"}, KEY)
    api.products.create({"id": "prod_1", "name": "B"})
    error = refusal(stripe.InvalidRequestError, api.products.update, "prod_1", {"name": "A"}, KEY)
    assert error.headers["Idempotent-Replayed"] == "true"


def test_a_declined_card_is_kept(api: Sdk) -> None:
    customer = paying_customer(api, "pm_card_chargeCustomerFail")
    invoice = drafted(api, customer.id, 500)
    first = refusal(stripe.CardError, api.invoices.pay, invoice.id, {}, KEY)
    second = refusal(stripe.CardError, api.invoices.pay, invoice.id, {}, KEY)
    assert second.http_body == first.http_body
    assert len(api.charges.list().data) == 1


def test_an_unsupported_part_is_not_kept(api: Sdk) -> None:
    refusal(stripe.APIError, api.customers.create, {"source": "tok_visa"}, KEY)
    api.customers.create({"name": "A"}, KEY)


def test_concurrent_use(sandbox: Sandbox, api: Sdk) -> None:
    sandbox.fault(on="request", path="/v1/customers", delay=0.5, method="POST")
    answers: list[Any] = []

    def first() -> None:
        with sdk(sandbox.url) as other:
            answers.append(other.customers.create({"name": "A"}, KEY))

    thread = threading.Thread(target=first)
    thread.start()
    while sandbox.admin("GET", "faults")["faults"]:
        pass
    error = refusal(stripe.StripeError, api.customers.create, {"name": "A"}, KEY)
    thread.join()
    assert (error.http_status, error.code) == (409, "idempotency_key_in_use")
    assert api.customers.create({"name": "A"}, KEY).id == answers[0].id


def test_a_key_has_at_most_255_characters(api: Sdk) -> None:
    api.customers.create({}, {"idempotency_key": "k" * 255})
    error = refusal(stripe.StripeError, api.customers.create, {}, {"idempotency_key": "k" * 256})
    assert error.http_status == 400


def test_a_server_error_is_kept_and_nothing_was_done(sandbox: Sandbox, api: Sdk) -> None:
    sandbox.fault(on="request", path="/v1/customers", status=500)
    refusal(stripe.APIError, api.customers.create, {"name": "A"}, KEY)
    again = refusal(stripe.APIError, api.customers.create, {"name": "A"}, KEY)
    assert (again.http_status, again.headers["Idempotent-Replayed"]) == (500, "true")
    assert api.customers.list().data == []


def test_change_event_and_outcome_are_one_transaction(api: Sdk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of the three fails, so none of them stays."""

    def fails(*arguments: Any) -> None:
        raise RuntimeError("no room left")

    with monkeypatch.context() as patched:
        patched.setattr(idempotency, "keep", fails)
        error = refusal(stripe.APIError, api.customers.create, {"name": "A"}, KEY)
    assert "no room left" in error.user_message
    assert api.customers.list().data == []
    assert api.events.list().data == []
    assert api.customers.create({"name": "A"}, KEY).name == "A"


def test_what_strikes_before_the_api_is_not_kept(sandbox: Sandbox, api: Sdk) -> None:
    for status in (401, 403, 429, 503):
        sandbox.fault(on="request", path="/v1/customers", method="POST", status=status)
        refused = refusal(stripe.StripeError, api.customers.create, {"name": "A"}, KEY)
        assert refused.http_status == status
    assert api.customers.create({"name": "A"}, KEY).name == "A"
