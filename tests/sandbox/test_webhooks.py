"""Endpoints, events, deliveries: signed, retried, in order, and tampered with on demand."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import stripe

from sandbox.conftest import Receiver, Sandbox, Sdk, event_types, paying_customer, refusal, running, sdk
from serving import until


def _deliveries(sandbox: Sandbox, **query: str) -> list[Any]:
    text = "&".join(f"{name}={value}" for name, value in query.items())
    return sandbox.admin("GET", f"deliveries?{text}")["deliveries"]


def _settled(sandbox: Sandbox) -> None:
    deadline = time.monotonic() + 60
    while sandbox.admin("GET", "state")["deliveries_waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_endpoints_life(api: Sdk) -> None:
    made = api.webhook_endpoints.create(
        {"url": "https://example.com/hook", "enabled_events": ["invoice.paid"], "metadata": {"a": "b"}}
    )
    assert made.secret.startswith("whsec_")
    seen = api.webhook_endpoints.retrieve(made.id)
    assert "secret" not in seen
    assert (seen.status, seen.enabled_events) == ("enabled", ["invoice.paid"])
    changed = api.webhook_endpoints.update(made.id, {"disabled": True, "url": "https://example.com/other"})
    assert (changed.status, changed.url) == ("disabled", "https://example.com/other")
    assert [one.id for one in api.webhook_endpoints.list().data] == [made.id]
    assert api.webhook_endpoints.delete(made.id).deleted
    assert refusal(stripe.InvalidRequestError, api.webhook_endpoints.retrieve, made.id).http_status == 404


def test_wrong_endpoints(api: Sdk) -> None:
    good = {"url": "https://example.com/hook", "enabled_events": ["*"]}
    for wrong, param in (({"enabled_events": ["invoice.eaten"]}, "enabled_events[0]"), ({"url": "example.com"}, "url")):
        error = refusal(stripe.InvalidRequestError, api.webhook_endpoints.create, {**good, **wrong})
        assert error.param == param
    for _ in range(16):
        api.webhook_endpoints.create(good)
    refusal(stripe.InvalidRequestError, api.webhook_endpoints.create, good)


def test_events_arrive_signed(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    endpoint = receiver.subscribe(api)
    customer = api.customers.create({"name": "A"}, {"idempotency_key": "key-1"})
    receiver.wait_for(1)
    _settled(sandbox)
    event = receiver.events[0]
    assert (event.type, event.data.object.id, event.pending_webhooks) == ("customer.created", customer.id, 1)
    assert event.api_version == "2026-05-27.dahlia"
    assert event.request is not None
    assert event.request.idempotency_key == "key-1"
    assert event.request.id == customer.last_response.request_id
    assert api.events.retrieve(event.id).pending_webhooks == 0
    delivery = _deliveries(sandbox, event=event.id)[0]
    assert (delivery["state"], delivery["endpoint"], delivery["type"]) == ("delivered", endpoint.id, "customer.created")
    assert [attempt["status"] for attempt in delivery["attempts"]] == [200]


def test_only_the_types_that_were_asked_for(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    endpoint = receiver.subscribe(api, "customer.deleted", "product.created")
    customer = api.customers.create()
    api.customers.delete(customer.id)
    receiver.wait_for(1)
    api.webhook_endpoints.update(endpoint.id, {"disabled": True})
    api.products.create({"name": "P"})
    _settled(sandbox)
    assert receiver.types == ["customer.deleted"]


def test_events_of_one_object_come_in_order(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    customers = [api.customers.create() for _ in range(3)]
    for number in range(5):
        for customer in customers:
            api.customers.update(customer.id, {"name": str(number)})
    receiver.wait_for(18)
    for customer in customers:
        names = [event.data.object.name for event in receiver.events if event.data.object.id == customer.id]  # pyright: ignore
        assert names == [None, "0", "1", "2", "3", "4"]


def test_failures_are_tried_again_with_growing_delays(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    receiver.answers = [500, 302, 404]
    api.customers.create()
    receiver.wait_for(1)
    _settled(sandbox)
    attempts = _deliveries(sandbox)[0]["attempts"]
    assert [attempt["status"] for attempt in attempts] == [500, 302, 404, 200]
    gaps = [later["at"] - earlier["at"] for earlier, later in pairwise(attempts)]
    assert all(gap >= wanted for gap, wanted in zip(gaps, (0.05, 0.1, 0.2), strict=True))


def test_an_endpoint_that_is_not_there(api: Sdk, sandbox: Sandbox) -> None:
    endpoint = api.webhook_endpoints.create({"url": "http://127.0.0.1:1/", "enabled_events": ["*"]})
    api.customers.create()
    while len(_deliveries(sandbox)[0]["attempts"]) < 2:
        time.sleep(0.01)
    assert "ConnectionRefused" in _deliveries(sandbox)[0]["attempts"][0]["error"]
    api.webhook_endpoints.delete(endpoint.id)
    _settled(sandbox)
    assert _deliveries(sandbox)[0]["state"] == "canceled"


def test_a_slow_endpoint_does_not_hold_up_others(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api, "customer.created")
    sandbox.fault(on="delivery", action="delay", seconds=30)
    api.customers.create({"name": "late"})
    api.customers.create({"name": "soon"})
    receiver.wait_for(1)
    assert [event.data.object.name for event in receiver.events] == ["soon"]  # pyright: ignore
    while len(api.events.list({"delivery_success": False}).data) == 2:
        time.sleep(0.01)
    assert [event.data.object.name for event in api.events.list({"delivery_success": True}).data] == ["soon"]


def test_lost_and_doubled(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    sandbox.fault(on="delivery", action="lose", times=2)
    sandbox.fault(on="delivery", action="double", events="product.*")
    api.customers.create()
    api.customers.create()
    api.products.create({"name": "P"})
    receiver.wait_for(2)
    _settled(sandbox)
    assert receiver.types == ["product.created", "product.created"]
    assert receiver.events[0].id == receiver.events[1].id
    assert [one["state"] for one in _deliveries(sandbox)] == ["delivered", "lost", "lost"]
    assert sandbox.admin("GET", "faults") == {"faults": []}


def test_delayed(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    sandbox.fault(on="delivery", action="delay", seconds=1)
    customer = api.customers.create()
    api.customers.update(customer.id, {"name": "A"})
    receiver.wait_for(2)
    assert receiver.types == ["customer.updated", "customer.created"]


def test_reordered(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    sandbox.fault(on="delivery", action="reorder", times=3)
    customer = api.customers.create()
    api.customers.update(customer.id, {"name": "A"})
    time.sleep(0.1)
    assert receiver.types == []
    api.customers.delete(customer.id)
    receiver.wait_for(3)
    assert receiver.types == ["customer.deleted", "customer.updated", "customer.created"]


def test_held_deliveries_go_out_when_the_fault_is_cleared(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    fault = sandbox.fault(on="delivery", action="reorder", times=3)
    api.customers.create()
    assert sandbox.admin("POST", "faults/clear", {"id": fault["id"]}) == {"cleared": 1}
    receiver.wait_for(1)


def test_badly_signed(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    receiver.subscribe(api)
    sandbox.fault(on="delivery", action="badly_sign")
    api.customers.create()
    receiver.wait_for(1)
    assert receiver.refused == 1
    _settled(sandbox)
    assert [attempt["status"] for attempt in _deliveries(sandbox)[0]["attempts"]] == [400, 200]


def test_resend(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    endpoint = receiver.subscribe(api)
    api.customers.create()
    receiver.wait_for(1)
    event = receiver.events[0].id
    assert len(sandbox.admin("POST", f"events/{event}/resend")["deliveries"]) == 1
    assert len(sandbox.admin("POST", f"events/{event}/resend", {"endpoint": endpoint.id})["deliveries"]) == 1
    assert sandbox.admin("POST", f"events/{event}/resend", {"endpoint": "we_other"}) == {"deliveries": []}
    assert sandbox.admin("POST", "events/evt_none/resend") == 404
    receiver.wait_for(3)
    assert {one.id for one in receiver.events} == {event}


def test_the_list_of_events(api: Sdk) -> None:
    customer = paying_customer(api)
    api.customers.update(customer.id, {"name": "A"})
    api.products.create({"name": "P"})
    assert event_types(api) == [
        "customer.created", "payment_method.attached", "customer.updated", "product.created",
    ]  # fmt: skip
    assert event_types(api, type="customer.*") == ["customer.created", "customer.updated"]
    assert event_types(api, types=["product.created", "customer.updated"]) == ["customer.updated", "product.created"]
    assert event_types(api, type="customer.?reated") == []
    first = api.events.list({"type": "customer.created"}).data[0]
    assert first.data.object.name is None
    assert api.events.retrieve(first.id).type == "customer.created"


def test_events_tell_the_whole_state(api: Sdk) -> None:
    """The last event of an object shows it as it is now."""
    customer = paying_customer(api)
    item = api.invoice_items.create({"customer": customer.id, "amount": 900, "currency": "usd"})
    invoice = api.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    api.invoices.pay(invoice.id)
    api.customers.update(customer.id, {"email": "a@example.com"})
    last = {event.data.object.id: event.data.object.to_dict() for event in api.events.list({"limit": 100}).data[::-1]}
    for service, identifier in (
        (api.customers, customer.id),
        (api.invoices, invoice.id),
        (api.payment_intents, api.payment_intents.list().data[0].id),
        (api.charges, api.charges.list().data[0].id),
        (api.invoice_payments, api.invoice_payments.list().data[0].id),
        (api.payment_methods, customer.invoice_settings.default_payment_method),
    ):
        assert last[identifier] == service.retrieve(identifier).to_dict()
    assert api.invoice_items.retrieve(item.id).invoice == invoice.id


@pytest.mark.parametrize(
    "wrong", [{"action": "eat"}, {"action": "lose", "times": 0}, {"action": "lose", "events": "("}]
)
def test_wrong_delivery_faults(sandbox: Sandbox, wrong: dict[str, Any]) -> None:
    assert sandbox.admin("POST", "faults", {"on": "delivery", **wrong}) == 400


def test_given_up_after_three_days(tmp_path: Path, receiver: Receiver) -> None:
    """The second delay would end past the third day, so the first failure is the last."""
    days = 3 * 24 * 3600.0 + 1
    with running(tmp_path / "slow", retry_delay=days) as slow, sdk(slow.url) as api:
        receiver.subscribe(api)
        receiver.answers = [500]
        api.customers.create()
        _settled(slow)
        assert _deliveries(slow, state="failed")[0]["attempts"][0]["status"] == 500


def test_a_receiver_takes_what_comes_after_the_clock_was_set_forward(
    api: Sdk, sandbox: Sandbox, receiver: Receiver
) -> None:
    """Its own clock goes by real time, and so does the signature's timestamp; attempts are numbered as they come."""
    endpoint = receiver.subscribe(api)
    moved = sandbox.admin("POST", "clock", {"advance": 400 * 86_400})
    assert moved["now"] - moved["before"] >= 400 * 86_400 and moved["events"] == {}
    api.products.create({"name": "P"})
    receiver.wait_for(1)
    assert receiver.refused == 0
    api.products.create({"name": "Q"})
    receiver.wait_for(2)
    until(lambda: sandbox.admin("GET", "attempts")["last"] == 2)
    both = sandbox.admin("GET", f"attempts?endpoint={endpoint.id}")["attempts"]
    assert [(one["n"], one["type"], one["status"]) for one in both] == [
        (1, "product.created", 200),
        (2, "product.created", 200),
    ]
    assert sandbox.admin("GET", "attempts?after=1")["attempts"] == both[1:]
    assert sandbox.admin("GET", "attempts?endpoint=we_other")["attempts"] == []
    assert sandbox.admin("GET", "attempts?after=x") == 400
