"""The gateway's contract, each call of it, against the stateful stand-in for Stripe."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_stripe import settings

from nself.core.errors import NotFound
from nself.gateway import errors, retry
from nself.gateway.api import Snapshot, Stripe
from nself.gateway.live import connect
from stripe_openapi import validate_traffic
from stripe_sandbox.server import Running, run_in_thread
from stripe_sandbox.settings import Settings as SandboxSettings

pytestmark = pytest.mark.usefixtures("quick")
Admin = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox") / "traffic.jsonl"


@pytest.fixture(scope="module")
def running(traffic: Path) -> Iterator[Running]:
    """One sandbox for all tests here. What went over its wire is checked against Stripe's document at the end."""
    with run_in_thread(SandboxSettings(rate_limit=0, traffic=str(traffic))) as sandbox:
        yield sandbox
    assert validate_traffic(str(traffic)) == []


@pytest.fixture
def stripe(running: Running) -> Iterator[Stripe]:
    made = connect(settings(running.url))
    yield made
    made.close()


@pytest.fixture
def admin(running: Running) -> Iterator[Admin]:
    """Calls the sandbox's admin routes, and leaves no fault behind."""

    def post(path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{running.url}/_sandbox/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    yield post
    post("faults/clear")


@pytest.fixture
def customer(stripe: Stripe, request: pytest.FixtureRequest) -> Snapshot:
    """One who pays with a card that works."""
    name = request.node.name
    made = stripe.create_customer({"name": name, "metadata": {"user": "u1"}}, f"{name}:customer")
    method = stripe.attach_payment_method("pm_card_visa", made["id"], f"{name}:method")
    default = {"invoice_settings": {"default_payment_method": method["id"]}}
    return stripe.update_customer(made["id"], default, f"{name}:default")


def draft(stripe: Stripe, customer: Snapshot, key: str, *amounts: int) -> Snapshot:
    """An invoice with one line an amount, in minor units of usd."""
    params = {"customer": customer["id"], "auto_advance": False, "pending_invoice_items_behavior": "exclude"}
    invoice = stripe.create_invoice(params, f"{key}:invoice")
    for number, amount in enumerate(amounts):
        line = {"customer": customer["id"], "invoice": invoice["id"], "amount": amount, "currency": "usd"}
        stripe.add_invoice_item(line, f"{key}:line:{number}")
    return invoice


def test_account(stripe: Stripe) -> None:
    assert stripe.account()["object"] == "account"


def test_customers(stripe: Stripe, customer: Snapshot) -> None:
    found = stripe.customer(customer["id"])
    assert (found["metadata"], found["livemode"]) == ({"user": "u1"}, False)
    assert found == customer
    changed = stripe.update_customer(customer["id"], {"email": "u1@example.com"}, "customers:email")
    assert changed["email"] == "u1@example.com"
    assert [one["id"] for one in stripe.customers(email="u1@example.com")] == [customer["id"]]


def test_the_same_key_gives_the_same_answer(stripe: Stripe) -> None:
    first = stripe.create_customer({"name": "once"}, "same:1")
    assert stripe.create_customer({"name": "once"}, "same:1") == first
    with pytest.raises(errors.IdempotencyMismatch) as found:
        stripe.create_customer({"name": "another"}, "same:1")
    assert found.value.message.startswith("Keys for idempotent requests can only be used with the same parameters")
    assert found.value.request_id
    assert found.value.request_id.startswith("req_")


def test_payment_methods(stripe: Stripe, customer: Snapshot) -> None:
    [method] = stripe.payment_methods(customer["id"])
    assert (method["card"]["last4"], method["customer"]) == ("4242", customer["id"])
    assert customer["invoice_settings"]["default_payment_method"] == method["id"]


def test_products_and_prices(stripe: Stripe) -> None:
    product = stripe.create_product({"name": "Overage: api_calls"}, "catalog:product")
    params = {"product": product["id"], "currency": "usd", "unit_amount_decimal": "0.0125"}
    price = stripe.create_price(params, "catalog:price")
    found = stripe.price(price["id"])
    assert (found["unit_amount_decimal"], found["unit_amount"]) == ("0.0125", None)
    assert [one["id"] for one in stripe.prices(product=product["id"])] == [price["id"]]


def test_an_invoice_is_made_finalised_and_paid(stripe: Stripe, customer: Snapshot) -> None:
    invoice = draft(stripe, customer, "paid", 1250, 300)
    assert stripe.invoice(invoice["id"])["status"] == "draft"
    assert {one["amount"] for one in stripe.invoice_items(customer=customer["id"])} == {1250, 300}
    assert stripe.finalize_invoice(invoice["id"], "paid:finalize")["status"] == "open"
    paid = stripe.pay_invoice(invoice["id"], "paid:pay")
    assert (paid["status"], paid["amount_paid"], paid["livemode"]) == ("paid", 1550, False)
    assert stripe.pay_invoice(invoice["id"], "paid:pay") == paid
    assert [one["id"] for one in stripe.invoices(customer=customer["id"], status="paid")] == [invoice["id"]]
    payments = stripe.events(type="payment_intent.succeeded")
    mine = [one for one in payments if one["data"]["object"]["customer"] == customer["id"]]
    assert [stripe.payment_intent(one["data"]["object"]["id"])["amount_received"] for one in mine] == [1550]
    assert stripe.event(mine[0]["id"])["id"] == mine[0]["id"]


def test_an_invoice_with_many_lines_comes_whole(stripe: Stripe, customer: Snapshot) -> None:
    amounts = [100 + number for number in range(25)]
    invoice = draft(stripe, customer, "many", *amounts)
    lines = stripe.invoice(invoice["id"])["lines"]
    assert sorted(line["amount"] for line in lines["data"]) == amounts
    assert lines["has_more"] is False


def test_an_invoice_is_voided_or_deleted(stripe: Stripe, customer: Snapshot) -> None:
    invoice = draft(stripe, customer, "void", 500)
    stripe.finalize_invoice(invoice["id"], "void:finalize")
    assert stripe.void_invoice(invoice["id"], "void:void")["status"] == "void"
    unwanted = draft(stripe, customer, "unwanted", 500)
    assert stripe.delete_invoice(unwanted["id"], "unwanted:delete")["deleted"] is True
    with pytest.raises(NotFound, match=f"^No such invoice: {unwanted['id']}$"):
        stripe.invoice(unwanted["id"])
    with pytest.raises(errors.WrongState) as found:
        stripe.delete_invoice(invoice["id"], "void:delete")
    assert found.value.code == "invoice_not_editable"


def test_webhook_endpoints(stripe: Stripe) -> None:
    params = {"url": "http://127.0.0.1:9/webhooks/stripe", "enabled_events": ["invoice.paid"]}
    made = stripe.create_webhook_endpoint(params, "endpoint:create")
    assert made["secret"].startswith("whsec_")
    [listed] = [one for one in stripe.webhook_endpoints() if one["id"] == made["id"]]
    assert "secret" not in listed
    changed = stripe.update_webhook_endpoint(made["id"], {"disabled": True}, "endpoint:disable")
    assert changed["status"] == "disabled"
    assert stripe.delete_webhook_endpoint(made["id"], "endpoint:delete")["deleted"] is True
    assert made["id"] not in [one["id"] for one in stripe.webhook_endpoints()]


MISSING: list[tuple[Callable[[Stripe], Snapshot], str]] = [
    (lambda stripe: stripe.customer("cus_123"), "No such customer: cus_123"),
    (lambda stripe: stripe.price("price_123"), "No such price: price_123"),
    (lambda stripe: stripe.invoice("in_123"), "No such invoice: in_123"),
    (lambda stripe: stripe.payment_intent("pi_123"), "No such payment intent: pi_123"),
    (lambda stripe: stripe.subscription("sub_123"), "No such subscription: sub_123"),
    (lambda stripe: stripe.event("evt_123"), "No such event: evt_123"),
    (lambda stripe: stripe.create_invoice({"customer": "cus_123"}, "missing:1"), "No such customer: cus_123"),
]


@pytest.mark.parametrize(("call", "message"), MISSING)
def test_what_is_missing_is_told_in_the_guides_words(
    stripe: Stripe, call: Callable[[Stripe], Snapshot], message: str
) -> None:
    with pytest.raises(errors.NoSuchObject) as found:
        call(stripe)
    told = (found.value.message, found.value.code, found.value.outcome_unknown)
    assert told == (message, "resource_missing", False)


def test_a_card_that_cannot_be_attached(stripe: Stripe) -> None:
    customer = stripe.create_customer({}, "unfunded:customer")
    card = "pm_card_visa_chargeDeclinedInsufficientFunds"
    with pytest.raises(errors.CardDeclined) as found:
        stripe.attach_payment_method(card, customer["id"], "unfunded:method")
    told = (found.value.message, found.value.code, found.value.decline_code)
    assert told == ("Your card has insufficient funds.", "card_declined", "insufficient_funds")


def test_a_card_that_is_declined_later(stripe: Stripe) -> None:
    customer = stripe.create_customer({}, "later:customer")
    method = stripe.attach_payment_method("pm_card_chargeCustomerFail", customer["id"], "later:method")
    default = {"invoice_settings": {"default_payment_method": method["id"]}}
    stripe.update_customer(customer["id"], default, "later:default")
    invoice = draft(stripe, customer, "later", 500)
    stripe.finalize_invoice(invoice["id"], "later:finalize")
    for _ in range(2):  # the answer is kept under its key like any other
        with pytest.raises(errors.CardDeclined, match=r"^Your card was declined\.$") as found:
            stripe.pay_invoice(invoice["id"], "later:pay")
        assert (found.value.outcome_unknown, found.value.status, found.value.code) == (False, 402, "card_declined")
        assert found.value.payment_intent
        assert stripe.payment_intent(found.value.payment_intent)["status"] == "requires_payment_method"


def test_a_wrong_parameter_is_named(stripe: Stripe) -> None:
    with pytest.raises(errors.Refused) as found:
        stripe.create_customer({"balance": "abc"}, "wrong:1")
    assert (found.value.code, found.value.param) == ("parameter_invalid_integer", "balance")
    assert found.value.message == "Invalid integer: abc"
    with pytest.raises(errors.Refused, match="unknown parameter") as found:
        stripe.create_customer({"nmae": "x"}, "wrong:2")
    assert found.value.code == "parameter_unknown"


@pytest.mark.parametrize(("standing", "kind"), [("revoked", errors.InvalidApiKey), ("expired", errors.ApiKeyExpired)])
def test_a_key_that_is_no_longer_good(
    running: Running, admin: Admin, standing: str, kind: type[errors.StripeFailure]
) -> None:
    key = f"sk_test_51Withdrawn{standing}1234"
    admin("keys/revoke", key=key, standing=standing)
    stripe = connect(settings(running.url, STRIPE_SECRET_KEY=key))
    with pytest.raises(kind) as found:
        stripe.account()
    stripe.close()
    assert (found.value.exit_code, "Withdrawn" in found.value.message) == (4, False)
    assert "sk_test_***1234" in found.value.message


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "times": 2},
        {"status": 503, "times": 2},
        {"drop": True},
        {"drop": True, "after": True},
        {"delay": 0.4, "after": True},
    ],
)
def test_a_passing_fault_leaves_exactly_one_customer(
    running: Running, admin: Admin, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    name = json.dumps(fault)
    stripe = connect(settings(running.url, STRIPE_TIMEOUT="0.3s", STRIPE_RETRY_BACKOFF="constant"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.1)
    admin("faults", on="request", method="POST", **fault)
    made = stripe.create_customer({"name": name}, f"fault:{name}".replace(" ", ""))
    assert [one["id"] for one in stripe.customers() if one["name"] == name] == [made["id"]]
    stripe.close()


def test_a_500_after_the_work_is_unknown_and_stored(stripe: Stripe, admin: Admin) -> None:
    admin("faults", on="request", method="POST", status=500, after=True)
    with pytest.raises(errors.StripeDown) as found:
        stripe.create_customer({"name": "done all the same"}, "stored:1")
    assert (found.value.outcome_unknown, found.value.stored) == (True, True)
    assert [one["name"] for one in stripe.customers()].count("done all the same") == 1


def test_a_forbidden_call(stripe: Stripe, admin: Admin) -> None:
    admin("faults", on="request", status=403)
    with pytest.raises(errors.InsufficientPermissions) as found:
        stripe.account()
    assert found.value.message.startswith("Insufficient permissions")


def test_one_key_used_twice_at_once_makes_one_customer(
    running: Running, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    stripe = connect(settings(running.url, STRIPE_RETRY_BACKOFF="constant"))
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.1)
    admin("faults", on="request", method="POST", delay=0.2, after=True)
    made: list[Snapshot] = []
    threads = [
        threading.Thread(target=lambda: made.append(stripe.create_customer({"name": "twins"}, "twins:1"))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    stripe.close()
    assert len(made) == 2
    assert made[0] == made[1]


def test_many_threads(stripe: Stripe) -> None:
    made: list[Snapshot] = []

    def work(number: int) -> None:
        made.extend(stripe.create_customer({"name": f"crowd {number}"}, f"crowd:{number}:{at}") for at in range(20))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({one["id"] for one in made}) == 120
    listed = [one["name"] for one in stripe.customers()]
    assert [listed.count(f"crowd {number}") for number in range(6)] == [20] * 6
