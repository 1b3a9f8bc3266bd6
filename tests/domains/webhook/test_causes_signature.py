"""Root causes of refused signatures: each is told apart from its neighbours and from what strangers send."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from money_bench import NOW, SECRET, Bench, signed

from nself.core.errors import BillingError
from nself.diagnosis import Look
from nself.domains.webhook.service import receive, refuse
from nself.domains.webhook.service.causes.signature import CAUSES
from nself.domains.webhook.service.endpoints import receiver_url

EVENT = {"id": "evt_1", "type": "a.b", "created": 1, "livemode": False, "data": {"object": {"id": "x_1"}}}


def found(bench: Bench, **settings: str) -> list[str]:
    app = bench.app(**settings)
    try:
        look = Look(app)
        return [one.id for one in CAUSES if one.detect(look)]
    finally:
        app.close()


def come(bench: Bench, event: dict[str, Any], secret: str = SECRET, late: float = 0) -> None:
    body, app = json.dumps(event).encode(), bench.app()
    try:
        receive.receive(app, body, signed(body, secret, at=NOW - timedelta(seconds=late)))
    except BillingError as error:
        refuse.record(app, [receive.refused(app, body, error)])


def real_event(bench: Bench) -> dict[str, Any]:
    bench.sandbox.post("/v1/customers", email="one@example.com")
    return next(iter(bench.sandbox.events()))


def test_good_signatures_show_none(bench: Bench) -> None:
    come(bench, EVENT)
    assert found(bench) == []


def test_an_event_of_stripe_that_is_refused(bench: Bench) -> None:
    come(bench, real_event(bench), "whsec_other")
    assert found(bench) == ["1.2.1"]
    come(bench, EVENT)
    assert found(bench) == [], "since then one was taken"


def test_what_a_stranger_sends_shows_nothing(bench: Bench) -> None:
    come(bench, EVENT, "whsec_other")
    assert found(bench) == []


def test_a_refusal_says_nothing_of_a_secret_that_is_younger(bench: Bench) -> None:
    come(bench, real_event(bench), "whsec_other")
    app = bench.app()
    app.environ = {name: text for name, text in app.environ.items() if name != "STRIPE_WEBHOOK_SECRET"}
    Path(app.project.secrets).write_text("STRIPE_WEBHOOK_SECRET=whsec_new\n")
    app.__dict__.pop("settings", None)
    assert [one.id for one in CAUSES if one.detect(Look(app))] == []


def test_a_signature_of_another_time(bench: Bench) -> None:
    come(bench, EVENT, late=600)
    assert found(bench) == ["1.2.3"]


def test_a_secret_with_quotes_is_told_before_a_wrong_one(bench: Bench) -> None:
    come(bench, real_event(bench), "whsec_other")
    assert found(bench, STRIPE_WEBHOOK_SECRET=rf"\"{SECRET}\"") == ["1.2.4"]


def test_two_endpoints_that_send_here(bench: Bench) -> None:
    url = receiver_url(bench.app())
    one, other = (bench.sandbox.post("/v1/webhook_endpoints", url=url, enabled_events=["*"]) for _ in range(2))
    assert found(bench) == ["1.2.2"]
    come(bench, real_event(bench), one["secret"])
    assert found(bench) == ["1.2.2"], "the other one's secret is not here"
    bench.sandbox.post(f"/v1/webhook_endpoints/{other['id']}", disabled="true")
    assert "1.2.2" not in found(bench)
