"""Keys, errors, parameters, headers, `expand`, pages, filters, the rate limit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import stripe

from sandbox.conftest import Sandbox, Sdk, ask, drafted, paying_customer, refusal, running, sdk
from stripe_sandbox import API_VERSION, ratelimit


def test_a_key_is_needed_and_live_ones_are_refused(sandbox: Sandbox) -> None:
    for key in ("sk_live_51Abcdefghijklmnop", "rk_live_1234", "nonsense"):
        with sdk(sandbox.url, key) as api:
            error = refusal(stripe.AuthenticationError, api.customers.list)
            assert error.http_status == 401
            assert error.user_message.startswith("Invalid API Key provided: ")
            assert key not in error.user_message
    with sdk(sandbox.url, "rk_test_anything") as api:
        assert api.customers.list().data == []


def test_a_publishable_key_is_refused(sandbox: Sandbox) -> None:
    with sdk(sandbox.url, "pk_test_1") as api:
        error = refusal(stripe.AuthenticationError, api.customers.list)
        assert error.code == "secret_key_required"


def test_a_missing_key_and_a_basic_user(sandbox: Sandbox) -> None:
    """The SDK sends no Basic credentials and never none at all, so urllib asks."""
    assert ask(f"{sandbox.url}/v1/account", "GET") == 401
    basic = {"Authorization": "Basic c2tfdGVzdF94Og=="}  # sk_test_x with an empty password
    assert ask(f"{sandbox.url}/v1/account", "GET", headers=basic)["object"] == "account"
    assert ask(f"{sandbox.url}/v1/account", "GET", headers={"Authorization": "Basic !!"}) == 401


def test_revoked_and_expired_keys(sandbox: Sandbox) -> None:
    for key, standing, code in (("sk_test_one", "revoked", None), ("sk_test_two", "expired", "api_key_expired")):
        with sdk(sandbox.url, key) as api:
            api.customers.list()
            sandbox.admin("POST", "keys/revoke", {"key": key, "standing": standing})
            error = refusal(stripe.AuthenticationError, api.customers.list)
            assert error.code == code


@pytest.mark.parametrize(
    ("params", "code", "param", "message"),
    [
        ({"nmae": "x"}, "parameter_unknown", "nmae", "Received unknown parameter: nmae"),
        ({"a": 1, "b": 2}, "parameter_unknown", "a", "Received unknown parameters: a, b"),
        (
            {"address": {"street": "x"}},
            "parameter_unknown",
            "address[street]",
            "Received unknown parameter: address[street]",
        ),
        ({"balance": "abc"}, "parameter_invalid_integer", "balance", "Invalid integer: abc"),
        ({"balance": 1.5}, "parameter_invalid_integer", "balance", "Invalid integer: 1.5"),
        ({"next_invoice_sequence": 0}, "parameter_invalid_integer", "next_invoice_sequence", None),
        ({"address": "x"}, None, "address", "Invalid object"),
        ({"preferred_locales": "de"}, None, "preferred_locales", "Invalid array"),
        ({"tax_exempt": "no"}, None, "tax_exempt", "Invalid tax_exempt: must be one of exempt, none or reverse"),
        ({"name": {"a": 1}}, None, "name", None),
        ({"email": "x" * 513}, None, "email", None),
        ({"metadata": {"k" * 41: "v"}}, None, "metadata", None),
        ({"metadata": {"k": "v" * 501}}, None, "metadata[k]", None),
        ({"shipping": {"name": "x"}}, "parameter_missing", "shipping[address]", None),
        ({"payment_method": ""}, "parameter_invalid_empty", "payment_method", None),
    ],
)
def test_wrong_parameters(api: Sdk, params: Any, code: str | None, param: str, message: str | None) -> None:
    error = refusal(stripe.InvalidRequestError, api.customers.create, params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert message in (None, error.user_message)
    assert api.customers.list().data == []


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda api: api.quotes.create({}), "POST /v1/quotes"),
        (lambda api: api.payouts.list(), "GET /v1/payouts"),
        (lambda api: api.subscription_schedules.create({}), "POST /v1/subscription_schedules"),
        (lambda api: api.customers.create({"cash_balance": {}, "source": "tok_visa"}), "source"),
        (lambda api: api.customers.create({"tax": {"ip_address": "127.0.0.1"}}), "tax"),
        (lambda api: api.invoices.create_preview({"customer": "cus_1", "schedule": "sub_sched_1"}), "schedule"),
    ],
)
def test_what_is_not_here_says_so(api: Sdk, call: Any, part: str) -> None:
    error = refusal(stripe.APIError, call, api)
    assert (error.http_status, error.code) == (501, "sandbox_unsupported")
    assert part in error.user_message


def test_expanding_what_is_not_here_says_so(api: Sdk) -> None:
    customer = api.customers.create()
    error = refusal(stripe.APIError, api.customers.retrieve, customer.id, {"expand": ["sources"]})
    assert error.code == "sandbox_unsupported"


def test_unknown_urls_are_not_unsupported(sandbox: Sandbox) -> None:
    key = {"Authorization": "Bearer sk_test_x"}
    assert ask(f"{sandbox.url}/v1/customerz", "GET", headers=key) == 404
    assert ask(f"{sandbox.url}/v1/payouts", "GET", headers=key) == 501
    assert ask(f"{sandbox.url}/v1/customers", "PUT", headers=key) == 404


def test_another_version_is_refused(sandbox: Sandbox) -> None:
    with sdk(sandbox.url, stripe_version="2020-08-27") as api:
        assert refusal(stripe.APIError, api.customers.list).code == "sandbox_unsupported"


def test_connect_is_refused_and_not_ignored(api: Sdk) -> None:
    error = refusal(stripe.APIError, api.customers.list, {}, {"stripe_account": "acct_other"})
    assert error.code == "sandbox_unsupported"


def test_headers(api: Sdk) -> None:
    headers = api.customers.create(options={"idempotency_key": "key-1"}).last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == API_VERSION
    assert headers["Idempotency-Key"] == "key-1"
    assert "Idempotent-Replayed" not in headers


def test_expand(api: Sdk) -> None:
    customer = paying_customer(api)
    invoice = drafted(api, customer.id, 500)
    paid = api.invoices.pay(
        invoice.id, {"expand": ["customer.invoice_settings.default_payment_method", "payments.data.payment"]}
    )
    assert paid.customer.invoice_settings.default_payment_method.card.last4 == "4242"
    assert paid.payments.data[0].payment.payment_intent.startswith("pi_")
    listed = api.charges.list({"expand": ["data.payment_intent.payment_method"]}).data[0]
    assert listed.payment_intent.payment_method.id == customer.invoice_settings.default_payment_method
    plain = api.invoices.retrieve(invoice.id)
    assert plain.customer == customer.id
    assert "payments" not in plain


@pytest.mark.parametrize("path", ["name", "nothing", "invoice_settings.footer"])
def test_not_expandable(api: Sdk, path: str) -> None:
    customer = api.customers.create({"name": "x", "invoice_settings": {"footer": "x"}})
    error = refusal(stripe.InvalidRequestError, api.customers.retrieve, customer.id, {"expand": [path]})
    assert error.user_message == f"This property cannot be expanded ({path})."


def test_hashes_may_be_named_too(api: Sdk) -> None:
    customer = api.customers.create({"expand": ["discount", "invoice_settings", "default_source"]})
    assert (customer.discount, customer.default_source) == (None, None)


def test_expand_has_at_most_four_levels(api: Sdk) -> None:
    customer = paying_customer(api)
    api.invoices.pay(drafted(api, customer.id, 500).id)
    four = ["data.payment_intent.customer.invoice_settings"]
    assert api.charges.list({"expand": four}).data[0].payment_intent.customer.id == customer.id
    five = ["data.payment_intent.customer.invoice_settings.default_payment_method"]
    error = refusal(stripe.InvalidRequestError, api.charges.list, {"expand": five})
    assert "more than 4 levels" in error.user_message


def test_wrong_cursors(api: Sdk) -> None:
    error = refusal(stripe.InvalidRequestError, api.customers.list, {"starting_after": "cus_x"})
    assert (error.code, error.param) == ("resource_missing", "starting_after")
    both = {"starting_after": "cus_x", "ending_before": "cus_y"}
    assert refusal(stripe.InvalidRequestError, api.customers.list, both).code == "parameters_exclusive"
    for limit in (0, 101):
        assert refusal(stripe.InvalidRequestError, api.customers.list, {"limit": limit}).param == "limit"


def test_filters(api: Sdk) -> None:
    first = api.customers.create({"email": "one@example.com"})
    second = api.customers.create({"email": "two@example.com"})
    assert [one.id for one in api.customers.list({"email": "one@example.com"}).data] == [first.id]
    assert api.customers.list({"email": "ONE@example.com"}).data == []
    assert len(api.customers.list({"created": {"gte": first.created}}).data) == 2
    assert api.customers.list({"created": {"gt": second.created}}).data == []
    assert len(api.customers.list({"created": {"gte": first.created, "lt": second.created + 1}}).data) == 2
    assert api.customers.list({"created": second.created + 10}).data == []
    invoice = drafted(api, first.id, 500)
    assert [one.id for one in api.invoices.list({"customer": first.id, "status": "draft"}).data] == [invoice.id]
    assert api.invoices.list({"customer": second.id}).data == []
    assert api.invoices.list({"customer": first.id, "status": "open"}).data == []


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of the rate limit; it stands still until a test moves it."""
    at = [0.0]
    monkeypatch.setattr(ratelimit, "time", SimpleNamespace(monotonic=lambda: at[0]))
    return at


def test_the_rate_limit_is_a_token_bucket(tmp_path: Path, now: list[float]) -> None:
    with running(tmp_path / "limited", rate_limit=10) as limited, sdk(limited.url) as api:
        for calls, pause in ((10, 0.125), (1, 0.25), (2, 60), (10, 0)):
            for _ in range(calls):
                api.balance.retrieve()
            error = refusal(stripe.RateLimitError, api.balance.retrieve)
            assert (error.http_status, error.code) == (429, "rate_limit")
            now[0] += pause


def test_less_than_one_call_a_second(tmp_path: Path, now: list[float]) -> None:
    with running(tmp_path / "limited", rate_limit=0.5) as limited, sdk(limited.url) as api:
        for _ in range(2):
            api.balance.retrieve()
            assert refusal(stripe.RateLimitError, api.balance.retrieve).http_status == 429
            now[0] += 2
