"""Restricted keys, rolled webhook secrets, snapshots."""

import hashlib
import hmac

import pytest
import stripe

from sandbox.conftest import Receiver, Sandbox, Sdk, refusal, sdk
from stripe_sandbox.webhooks import signature


def test_a_restricted_key_may_do_what_it_was_given(api: Sdk, sandbox: Sandbox) -> None:
    customer = api.customers.create()
    given = {"customers": "read", "invoices": "write", "*": "none"}
    answer = sandbox.admin("POST", "keys/restrict", {"key": "rk_test_reporting_1234", "permissions": given})
    assert answer == {"key": "rk_test_***1234", "permissions": given}
    with sdk(sandbox.url, "rk_test_reporting_1234") as limited:
        assert limited.customers.retrieve(customer.id).id == customer.id
        error = refusal(stripe.PermissionError, limited.customers.update, customer.id, {"name": "x"})
        assert (error.http_status, "rak_customer_write" in error.user_message) == (403, True)
        assert limited.invoices.create({"customer": customer.id}).status == "draft"
        refusal(stripe.PermissionError, limited.products.list)
        sandbox.admin("POST", "keys/revoke", {"key": "rk_test_reporting_1234", "standing": "expired"})
        assert refusal(stripe.AuthenticationError, limited.customers.list).code == "api_key_expired"
    with sdk(sandbox.url, "rk_test_never_restricted") as free:
        assert free.products.list().data == []
    for wrong in ({"key": "sk_test_x", "permissions": {}}, {"key": "rk_test_x", "permissions": {"customers": "all"}}):
        assert sandbox.admin("POST", "keys/restrict", wrong) == 400


def test_a_rolled_secret_overlaps(api: Sdk, sandbox: Sandbox, receiver: Receiver) -> None:
    """Both secrets sign while the old one is good; after that only the new one does."""
    endpoint = receiver.subscribe(api, "customer.created")
    old = receiver.secret
    rolled = sandbox.admin("POST", f"webhook_endpoints/{endpoint.id}/roll", {"overlap": 3600})
    assert rolled["secret"] != old
    api.customers.create()
    receiver.wait_for(1)
    receiver.secret = rolled["secret"]
    api.customers.create()
    receiver.wait_for(2)
    sandbox.admin("POST", "clock", {"advance": 3601})
    receiver.secret = old
    api.customers.create()
    sandbox.admin("GET", "deliveries")
    receiver.wait_for_refusals(1)
    receiver.secret = rolled["secret"]
    receiver.wait_for(3)
    assert sandbox.admin("POST", f"webhook_endpoints/{endpoint.id}/roll", {"overlap": 86401}) == 400
    assert sandbox.admin("POST", "webhook_endpoints/we_none/roll", {}) == 404


def test_two_secrets_are_two_signatures() -> None:
    header = signature(b"{}", ["new", "old"], 1)
    expected = [hmac.new(one, b"1.{}", hashlib.sha256).hexdigest() for one in (b"new", b"old")]
    assert header == f"t=1,v1={expected[0]},v1={expected[1]}"


def test_a_snapshot_brings_everything_back(api: Sdk, sandbox: Sandbox) -> None:
    kept = api.customers.create({"name": "kept"}, {"idempotency_key": "k"})
    now = sandbox.admin("GET", "clock")["now"]
    assert sandbox.admin("POST", "snapshots", {"name": "before"})["saved"] == "before"
    state = sandbox.admin("GET", "state")
    api.customers.update(kept.id, {"name": "changed"})
    api.customers.create()
    sandbox.admin("POST", "clock", {"advance": 86400})
    sandbox.admin("POST", "reset")
    refusal(stripe.InvalidRequestError, api.customers.retrieve, kept.id)
    assert [one["name"] for one in sandbox.admin("GET", "snapshots")["snapshots"]] == ["before"]
    sandbox.admin("POST", "snapshots/before/restore")
    assert api.customers.retrieve(kept.id).name == "kept"
    assert sandbox.admin("GET", "state") == state
    assert 0 <= sandbox.admin("GET", "clock")["now"] - now < 60
    assert api.customers.create({"name": "kept"}, {"idempotency_key": "k"}).id == kept.id
    assert len(api.events.list().data) == 1
    assert sandbox.admin("DELETE", "snapshots/before") == {"forgotten": "before"}
    assert sandbox.admin("POST", "snapshots/before/restore") == 404


@pytest.mark.parametrize("name", ["", "a/b", "a b"])
def test_names_of_snapshots(sandbox: Sandbox, name: str) -> None:
    assert sandbox.admin("POST", "snapshots", {"name": name}) == 400
