"""The endpoint at Stripe and its secret."""

from __future__ import annotations

from typing import Any

import pytest
from money_bench import Bench, served
from money_seams import Crash

from nself.app import App
from nself.core.clock import system_clock
from nself.domains.webhook.inputs import ListEndpoints, TestSignature, UpdateUrl
from nself.domains.webhook.service import endpoints

URL = "http://127.0.0.1:9/webhooks/stripe"


@pytest.fixture
def app(bench: Bench) -> App:
    """Its secret is not known yet."""
    made = bench.app(clock=system_clock)
    made.environ = {name: value for name, value in made.environ.items() if name != "STRIPE_WEBHOOK_SECRET"}
    return made


def test_an_endpoint_is_made_once_and_its_secret_kept(app: App):
    first = endpoints.update_url(app, UpdateUrl(url=URL))
    assert first.created
    assert not endpoints.update_url(app, UpdateUrl(url=URL)).created
    moved = endpoints.update_url(app, UpdateUrl(url=f"{URL}/elsewhere"))
    assert (moved.id, moved.created) == (first.id, False)
    assert [one.url for one in endpoints.list_endpoints(app, ListEndpoints())] == [f"{URL}/elsewhere"]
    assert len(app.settings.secrets("STRIPE_WEBHOOK_SECRET")) == 1


def test_one_whose_secret_was_lost_by_a_kill_is_replaced(app: App, monkeypatch: pytest.MonkeyPatch):
    def killed(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(endpoints.setting, "set_values", killed)
        with pytest.raises(Crash):
            endpoints.update_url(app, UpdateUrl(url=URL))
    (lost,) = endpoints.list_endpoints(app, ListEndpoints())
    made = endpoints.update_url(app, UpdateUrl(url=URL))
    assert made.created
    assert [one.id for one in endpoints.list_endpoints(app, ListEndpoints())] == [made.id] != [lost.id]


def test_an_endpoint_of_somebody_else_is_left_alone(bench: Bench, app: App):
    theirs = bench.sandbox.post("/v1/webhook_endpoints", url="https://example.com/hook", enabled_events=["*"])
    ours = endpoints.update_url(app, UpdateUrl(url=URL))
    found = {one.id: one.url for one in endpoints.list_endpoints(app, ListEndpoints())}
    assert found == {theirs["id"]: "https://example.com/hook", ours.id: URL}


def test_the_signature_test_speaks_with_our_own_receiver(bench: Bench):
    app = bench.app(clock=system_clock, STRIPE_WEBHOOK_SECRET="whsec_a,whsec_b")
    with served(app) as address:
        app.environ = {**app.environ, "BILLING_PORT": address.rpartition(":")[2]}
        app.__dict__.pop("settings", None)
        result = endpoints.test_signature(app, TestSignature())
    assert (result.signed, result.wrongly_signed, result.passed) == ([200, 200], 400, True)
    bench.work(app)
    assert [status for _, status in bench.events()] == ["ignored", "ignored"]
