"""Replacing the webhook secret without losing an event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from money_bench import Bench, email, served, until
from money_seams import Crash, Pause, Seams

from nself.app import App
from nself.core.clock import system_clock
from nself.domains.webhook.errors import EndpointsBusy, NoEndpoint, SecretElsewhere, SecretNotTaken
from nself.domains.webhook.inputs import ListEvents, RotateSecret, ShowSecret, UpdateUrl
from nself.domains.webhook.service import endpoints, rotate, show
from nself.gateway import live
from nself.gateway.errors import NoSuchObject

SETTING = "STRIPE_WEBHOOK_SECRET"


def fresh(bench: Bench, port: str | None = None) -> App:
    """Its secret is in the project's files."""
    app = bench.app(clock=system_clock)
    drop = {SETTING}
    app.environ = {name: value for name, value in app.environ.items() if name not in drop}
    if port:
        app.environ = {**app.environ, "BILLING_PORT": port}
    app.__dict__.pop("settings", None)
    return app


@pytest.fixture
def address(bench: Bench) -> Iterator[str]:
    """A service that is registered at Stripe; an app of its own, as a process has."""
    with served(fresh(bench)) as address:
        endpoints.update_url(fresh(bench), UpdateUrl(url=f"{address}/webhooks/stripe"))
        yield address


@pytest.fixture
def app(bench: Bench, address: str) -> App:
    return fresh(bench, address.rpartition(":")[2])


def at_stripe(bench: Bench) -> list[dict[str, Any]]:
    return bench.sandbox.get("/v1/webhook_endpoints", limit=100)


def secrets(app: App) -> tuple[str, ...]:
    app.__dict__.pop("settings", None)
    return app.settings.secrets(SETTING)


def test_a_new_endpoint_takes_over_and_the_old_one_is_gone(bench: Bench, app: App, caplog: pytest.LogCaptureFixture):
    (old,), (before,) = at_stripe(bench), secrets(app)
    with caplog.at_level(logging.INFO, "nself"):
        done = rotate.rotate(app, RotateSecret())
    (new,), (after,) = at_stripe(bench), secrets(app)
    assert new["id"] == done.endpoint != old["id"] == done.retired
    assert before != after and done.secret.endswith(after[-4:]) and after not in repr(done)
    assert (new["url"], new["enabled_events"], new["metadata"]) == (old["url"], ["*"], {"nself": "webhooks"})
    assert done.verified == "the running service takes events that are signed with it"
    audit = next(record for record in caplog.records if record.message == "webhook_secret_rotated")
    assert audit.fields["operator"] == app.operator()  # type: ignore[attr-defined]
    bench.sandbox.post("/v1/customers", email=email("later"))
    until(lambda: bench.sandbox.admin("state")["deliveries_waiting"] == 0)
    assert bench.sql("select count(*) from billing_webhook_refusals where reason <> 'own_test'") == [(0,)]


def test_no_event_is_refused_or_lost_while_it_is_replaced(bench: Bench, app: App):
    stop, made = threading.Event(), list[str]()

    def traffic() -> None:
        while not stop.is_set():
            made.append(bench.sandbox.post("/v1/customers", email=email(f"u{len(made)}"))["id"])

    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        for _ in range(3):
            rotate.rotate(app, RotateSecret())
    finally:
        stop.set()
        thread.join()
    until(lambda: bench.sandbox.admin("state")["deliveries_waiting"] == 0)
    assert bench.sql("select reason from billing_webhook_refusals where reason <> 'own_test'") == []
    found = bench.sql("select object_id from billing_webhook_events where type = 'customer.created'")
    assert sorted(id for (id,) in found) == sorted(made)
    assert len(made) > 3


def test_at_once_the_old_secret_is_worth_nothing(bench: Bench, app: App, address: str):
    (before,) = secrets(app)
    rotate.rotate(app, RotateSecret(immediate=True))
    (after,) = secrets(app)
    until(lambda: endpoints.post(app, before) == 400)
    assert endpoints.post(app, after) == 200
    assert len(at_stripe(bench)) == 1


def test_without_a_service_it_is_done_with_a_warning(bench: Bench):
    app = fresh(bench, "9")
    endpoints.update_url(app, UpdateUrl(url="http://127.0.0.1:9/webhooks/stripe"))
    done = rotate.rotate(app, RotateSecret())
    assert "not verified, the service does not run" in done.verified
    assert len(at_stripe(bench)) == 1 == len(secrets(app))


def test_a_service_that_refuses_the_new_secret_keeps_the_old_endpoint(
    bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch
):
    (old,) = at_stripe(bench)
    monkeypatch.setattr(endpoints, "post", lambda *_: 400)
    with pytest.raises(SecretNotTaken, match=old["id"]):
        rotate.rotate(app, RotateSecret())
    assert len(secrets(app)) == 2
    enabled = {one["id"]: one["enabled_events"] for one in at_stripe(bench)}
    assert enabled.pop(old["id"]) == ["*"]
    assert list(enabled.values()) == [rotate.QUIET]
    monkeypatch.undo()
    rotate.rotate(app, RotateSecret())
    assert len(at_stripe(bench)) == 1 == len(secrets(app))


class Fragile:
    """The gateway of a command that is killed."""

    def __init__(self, app: App, seams: Seams) -> None:
        self._stripe, self._seams = live.connect(app.settings), seams

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stripe, name)
        if not callable(found) or name in ("close", "counters"):
            return found

        def call(*args: Any, **more: Any) -> Any:
            self._seams(f"before {name}")
            answer = found(*args, **more)
            self._seams(f"after {name}")
            return answer

        return call


@pytest.mark.parametrize("immediate", [False, True])
def test_a_kill_anywhere_is_mended_by_the_next_run(bench: Bench, app: App, immediate: bool):
    for at in range(1, 15):
        app.__dict__["stripe"] = Fragile(app, Seams(at))
        with suppress(Crash):
            rotate.rotate(app, RotateSecret(immediate=immediate))
        app.__dict__.pop("stripe")
        rotate.rotate(app, RotateSecret(immediate=immediate))
        (only,), (secret,) = at_stripe(bench), secrets(app)
        assert only["enabled_events"] == ["*"]
        assert only["metadata"] == {"nself": "webhooks"}
        until(lambda secret=secret: endpoints.post(app, secret) == 200)
    bench.sandbox.post("/v1/customers", email=email("last"))
    until(lambda: bench.sandbox.admin("state")["deliveries_waiting"] == 0)
    assert show.events(app, ListEvents(type="customer.created"))


@pytest.mark.parametrize("first", ["rotate", "update"])
def test_two_at_once_leave_one_endpoint_whose_secret_is_stored(bench: Bench, app: App, first: str):
    """Wherever the other one comes in between."""
    (old,), port = at_stripe(bench), app.environ["BILLING_PORT"]

    def other() -> None:
        with suppress(EndpointsBusy, NoSuchObject):
            rotate.rotate(fresh(bench, port), RotateSecret())

    for at in range(1, 14):
        if first == "update":
            endpoints.remove(app, at_stripe(bench)[0])
        app.__dict__["stripe"] = Fragile(app, Pause(at, other))
        with suppress(EndpointsBusy, NoSuchObject):
            if first == "update":
                endpoints.update_url(app, UpdateUrl(url=old["url"]))
            else:
                rotate.rotate(app, RotateSecret())
        app.__dict__.pop("stripe")
        assert len(at_stripe(bench)) == 1, at
        bench.sandbox.post("/v1/customers", email=email(f"user{at}"))
        until(lambda: bench.sandbox.admin("state")["deliveries_waiting"] == 0)
    assert bench.sql("select reason from billing_webhook_refusals where reason <> 'own_test'") == []


def test_one_that_somebody_removed_in_the_dashboard_is_replaced_all_the_same(bench: Bench, app: App):
    (old,) = at_stripe(bench)
    by_hand = partial(bench.sandbox.client.raw_request, "delete", f"/v1/webhook_endpoints/{old['id']}")
    app.__dict__["stripe"] = Fragile(app, Pause("before remove", by_hand))
    rotate.rotate(app, RotateSecret())
    (only,), kept = at_stripe(bench), secrets(app)
    assert (only["id"] != old["id"], len(kept)) == (True, 1)


def test_one_rolled_by_hand_comes_from_standard_input(bench: Bench, app: App, monkeypatch: pytest.MonkeyPatch):
    (before,) = secrets(app)
    monkeypatch.setattr(rotate.setting, "read_value", lambda _: "whsec_by_hand\n")
    done = rotate.rotate(app, RotateSecret(secret_stdin=True))
    assert secrets(app) == ("whsec_by_hand", before)
    assert done.secrets == 2 and "good until" in done.note
    assert done.verified == "the running service takes events that are signed with it"
    rotate.rotate(app, RotateSecret(secret_stdin=True, immediate=True))
    assert secrets(app) == ("whsec_by_hand",)
    assert len(at_stripe(bench)) == 1


def test_what_would_not_be_in_force_is_refused_before_anything_is_done(bench: Bench):
    app = bench.app()  # its secret comes from the environment
    with pytest.raises(SecretElsewhere):
        rotate.rotate(app, RotateSecret())
    assert at_stripe(bench) == []
    with pytest.raises(NoEndpoint):
        rotate.rotate(fresh(bench), RotateSecret())


def test_a_secret_is_shown_masked_and_who_looks_is_told(bench: Bench, app: App, caplog: pytest.LogCaptureFixture):
    (secret,) = secrets(app)
    (shown,) = rotate.show_secret(app, ShowSecret())
    assert secret not in repr(shown) and shown.length == len(secret)
    with caplog.at_level(logging.INFO, "nself"):
        (revealed,) = rotate.show_secret(app, ShowSecret(reveal=True))
    assert revealed.secret == secret
    assert [record.message for record in caplog.records] == ["webhook_secret_revealed"]
