"""Faults on demand and the other admin routes."""

import time
from typing import Any

import pytest
import stripe

from sandbox.conftest import Receiver, Sandbox, Sdk, ask, drafted, event_types, paying_customer, refusal
from sandbox.timing import HOUR


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, stripe.AuthenticationError),
        (403, stripe.PermissionError),
        (429, stripe.RateLimitError),
        (500, stripe.APIError),
        (503, stripe.APIError),
    ],
)
def test_the_next_calls_fail(api: Sdk, sandbox: Sandbox, status: int, kind: Any) -> None:
    sandbox.fault(on="request", method="POST", path="/v1/customers$", times=2, status=status)
    api.customers.list()
    api.products.create({"name": "P"})
    for _ in range(2):
        assert refusal(kind, api.customers.create).http_status == status
    assert api.customers.list().data == []
    api.customers.create()
    assert len(api.customers.list().data) == 1


def test_an_object_in_use(api: Sdk, sandbox: Sandbox) -> None:
    sandbox.fault(on="request", status=429, code="lock_timeout")
    error = refusal(stripe.RateLimitError, api.customers.create)
    assert (error.http_status, error.code) == (429, "lock_timeout")


def test_dropped_before_the_work(api: Sdk, sandbox: Sandbox) -> None:
    sandbox.fault(on="request", path="/v1/customers", drop=True)
    with pytest.raises(stripe.APIConnectionError):
        api.customers.create({"name": "A"}, {"idempotency_key": "key"})
    assert api.customers.list().data == []
    again = api.customers.create({"name": "A"}, {"idempotency_key": "key"})
    assert "Idempotent-Replayed" not in again.last_response.headers


def test_dropped_after_the_work(api: Sdk, sandbox: Sandbox) -> None:
    """The caller does not know, but the same key brings the lost answer."""
    customer = paying_customer(api)
    invoice = drafted(api, customer.id, 900)
    sandbox.fault(on="request", path="/pay$", drop=True, after=True)
    with pytest.raises(stripe.APIConnectionError):
        api.invoices.pay(invoice.id, {}, {"idempotency_key": "key"})
    assert api.invoices.retrieve(invoice.id).status == "paid"
    again = api.invoices.pay(invoice.id, {}, {"idempotency_key": "key"})
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert again.status == "paid"
    assert len(api.charges.list().data) == 1


def test_a_500_after_the_work(api: Sdk, sandbox: Sandbox) -> None:
    """Stripe keeps its 500: only looking tells that the work was done."""
    customer = paying_customer(api)
    invoice = drafted(api, customer.id, 900)
    sandbox.fault(on="request", path="/pay$", status=500, after=True)
    for _ in range(2):
        error = refusal(stripe.APIError, api.invoices.pay, invoice.id, {}, {"idempotency_key": "key"})
        assert error.http_status == 500
    assert error.headers["Idempotent-Replayed"] == "true"
    assert api.invoices.retrieve(invoice.id).status == "paid"
    assert "invoice.paid" in event_types(api)
    assert len(api.charges.list().data) == 1


def test_slow_answers(api: Sdk, sandbox: Sandbox) -> None:
    for after in (False, True):
        sandbox.fault(on="request", path="/v1/customers", delay=0.3, after=after)
        started = time.monotonic()
        api.customers.create()
        assert time.monotonic() - started >= 0.3


def test_the_list_of_faults(sandbox: Sandbox) -> None:
    first = sandbox.fault(on="request", path="/v1/x", status=500, times=3)
    sandbox.fault(on="delivery", action="double")
    listed = sandbox.admin("GET", "faults")["faults"]
    assert [one["on"] for one in listed] == ["request", "delivery"]
    assert listed[0] == first
    assert (first["times"], first["remaining"]) == (3, 3)
    assert sandbox.admin("POST", "faults/clear", {"id": first["id"]}) == {"cleared": 1}
    assert sandbox.admin("POST", "faults/clear") == {"cleared": 1}
    assert sandbox.admin("GET", "faults") == {"faults": []}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": 418},
        {"status": 500, "drop": True},
        {"status": 500, "code": "lock_timeout"},
        {"status": 429, "after": True},
        {"drop": True, "times": 0},
        {"drop": True, "path": "("},
        {"drop": True, "delay": -1},
        {"drop": True, "unknown": 1},
    ],
)
def test_wrong_faults(sandbox: Sandbox, wrong: dict[str, Any]) -> None:
    assert sandbox.admin("POST", "faults", {"on": "request", **wrong}) == 400
    assert sandbox.admin("GET", "faults") == {"faults": []}


def test_edits_by_hand(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    customer = api.customers.create({"name": "A", "metadata": {"a": "1"}})
    receiver.subscribe(api)
    edit = {"kind": "customer", "id": customer.id}
    sandbox.admin("POST", "edit", {**edit, "changes": {"name": "B", "metadata": {"b": "2"}}})
    receiver.wait_for(1)
    assert receiver.events[0].request is not None
    assert receiver.events[0].request.id is None
    quiet = sandbox.admin("POST", "edit", {**edit, "changes": {"name": "C"}, "webhook": False})
    assert (quiet["name"], quiet["metadata"]) == ("C", {"a": "1", "b": "2"})
    assert api.customers.retrieve(customer.id).name == "C"
    sandbox.admin("POST", "edit", {**edit, "delete": True, "webhook": False})
    assert api.customers.retrieve(customer.id).deleted
    assert event_types(api) == ["customer.created", "customer.updated"]
    assert sandbox.admin("POST", "edit", {**edit, "changes": {"name": "D"}}) == 404


def test_wrong_edits(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    wrong = ({"nmae": "x"}, {"id": "cus_x"}, {"object": "x"}, {"balance": "abc"}, {"tax_exempt": "no"}, {"_x": 1})
    for changes in wrong:
        assert sandbox.admin("POST", "edit", {"kind": "customer", "id": customer.id, "changes": changes}) == 400
    assert sandbox.admin("POST", "edit", {"kind": "customer"}) == 400
    assert sandbox.admin("POST", "edit", {"kind": "coupon", "id": "x"}) == 404
    assert api.customers.retrieve(customer.id).to_dict() == customer.to_dict()
    invoice = {"kind": "invoice", "id": drafted(api, customer.id, 500).id}
    for changes in ({"status": "nonsense"}, {"_due_at": 5}, {"total": None}):
        assert sandbox.admin("POST", "edit", {**invoice, "changes": changes}) == 400
    api.invoices.pay(drafted(api, paying_customer(api).id, 500).id)
    charge = api.charges.list().data[0]
    assert sandbox.admin("POST", "edit", {"kind": "charge", "id": charge.id, "delete": True}) == 400
    assert api.charges.retrieve(charge.id).status == "succeeded"


def test_an_edit_that_stripe_has_no_event_for(api: Sdk, sandbox: Sandbox) -> None:
    """There is no `invoiceitem.updated`, but there is a `coupon.updated`."""
    customer = api.customers.create()
    drafted(api, customer.id, 500)
    item, coupon = api.invoice_items.list().data[0], api.coupons.create({"percent_off": 10})
    mark = api.events.list({"limit": 1}).data[0].id
    sandbox.admin("POST", "edit", {"kind": "invoiceitem", "id": item.id, "changes": {"description": "by hand"}})
    sandbox.admin("POST", "edit", {"kind": "coupon", "id": coupon.id, "changes": {"name": "by hand"}})
    assert api.invoice_items.retrieve(item.id).description == "by hand"
    assert event_types(api, ending_before=mark) == ["coupon.updated"]


def test_reset_and_state(api: Sdk, sandbox: Sandbox) -> None:
    api.customers.create({"name": "A"}, {"idempotency_key": "key"})
    sandbox.fault(on="request", status=500)
    state = sandbox.admin("GET", "state")
    assert (state["objects"]["customer"], state["deliveries_waiting"]) == (1, 0)
    assert sandbox.admin("POST", "reset") == {"reset": True}
    assert sandbox.admin("GET", "state")["objects"] == {"account": 1}
    assert api.customers.create({"name": "B"}, {"idempotency_key": "key"}).name == "B"


def test_who_may_use_the_admin_routes(sandbox: Sandbox) -> None:
    assert sandbox.admin("GET", "health") == {"status": "ok", "api_version": "2026-05-27.dahlia"}
    assert sandbox.admin("GET", "nothing") == 404
    assert sandbox.admin("POST", "health") == 404
    browser = {"Origin": "https://evil.example"}
    assert ask(f"{sandbox.url}/_sandbox/reset", "POST", {}, browser) == 403
    forwarded = {"X-Forwarded-For": "192.0.2.1"}
    assert ask(f"{sandbox.url}/_sandbox/health", "GET", None, forwarded)["status"] == "ok"


@pytest.mark.parametrize(("drop", "kind"), [(False, stripe.APIError), (True, stripe.APIConnectionError)])
def test_an_outage_between_two_times(api: Sdk, sandbox: Sandbox, drop: bool, kind: Any) -> None:
    """From an hour from now on, for two hours; every call fails, and none is kept."""
    now = sandbox.admin("GET", "clock")["now"]
    key: Any = {"idempotency_key": "key"}
    sandbox.fault(on="outage", since=now + HOUR, until=now + 3 * HOUR, drop=drop, path="^/v1/customers")
    api.customers.list()
    for _ in range(2):
        sandbox.admin("POST", "clock", {"advance": HOUR})
        for _ in range(3):
            with pytest.raises(kind):
                api.customers.create({"name": "A"}, key)
        api.products.list()
    sandbox.admin("POST", "clock", {"advance": HOUR})
    assert api.customers.list().data == []
    assert "Idempotent-Replayed" not in api.customers.create({"name": "A"}, key).last_response.headers


def test_wrong_and_cleared_outages(api: Sdk, sandbox: Sandbox) -> None:
    now = sandbox.admin("GET", "clock")["now"]
    for wrong in ({}, {"since": now}, {"since": now, "until": now}, {"since": now, "until": now + 9, "path": "("}):
        assert sandbox.admin("POST", "faults", {"on": "outage", **wrong}) == 400
    made = sandbox.fault(on="outage", since=now, until=now + HOUR)
    assert refusal(stripe.APIError, api.customers.list).http_status == 503
    assert sandbox.admin("GET", "faults")["faults"] == [made]
    sandbox.admin("POST", "faults/clear", {"id": made["id"]})
    assert api.customers.list().data == []
