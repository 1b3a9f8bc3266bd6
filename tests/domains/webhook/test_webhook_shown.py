"""An event as it is shown: what Stripe sent without what nobody may read, and what it changed here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from money_bench import NOW, Bench, email, signed

from nself.app import App
from nself.domains.webhook.errors import NoSuchEvent
from nself.domains.webhook.inputs import ReplayWebhooks, ShowEvent
from nself.domains.webhook.service import replay, show
from nself.domains.webhook.service.receive import receive


@pytest.fixture
def app(bench: Bench) -> App:
    return bench.app()


def deliver(app: App, id: str, object: str, **more: Any) -> None:
    thing = {"id": object, "object": "customer", **more}
    event = {
        "id": id,
        "type": "customer.updated",
        "created": int(NOW.timestamp()),
        "livemode": False,
        "data": {"object": thing},
    }
    body = json.dumps(event).encode()
    receive(app, body, signed(body))


def test_what_stripe_sent_is_shown_without_secrets_and_card_numbers(app: App) -> None:
    kept = {"amount": 4242424242424242, "list": [None, True, 1.5], "line": "a\nb"}
    deliver(app, "evt_1", "cus_1", description="key sk_test_abcdefgh12345678", note="4242 4242 4242 4242", **kept)
    found = show.show(app, ShowEvent(event="evt_1"))
    assert found.payload["data"]["object"] == {
        "id": "cus_1", "object": "customer", "description": "key sk_test_***", "note": "[card number]", **kept,
    }  # fmt: skip
    assert (found.event, found.object, found.status, found.attempts, found.effects) == (
        "evt_1",
        "cus_1",
        "received",
        0,
        [],
    )
    with pytest.raises(NoSuchEvent):
        show.show(app, ShowEvent(event="evt_2"))


def test_attempts_and_effects_are_told(bench: Bench, app: App) -> None:
    id = str(bench.sandbox.post("/v1/customers", email=email("a"))["id"])
    deliver(app, "evt_1", id)
    replay.replay(app, ReplayWebhooks(event="evt_1"))
    found = show.show(app, ShowEvent(event="evt_1"))
    assert (found.status, found.attempts, found.error) == ("processed", 1, None)
    assert found.tried_at and found.processed_at and found.took_ms is not None
    assert [one.rsplit(",")[0] for one in found.effects] == [f"customer {id} created"]
