"""What Stripe's own command line does: trigger, listen, retrieve, confirm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stripe

from domains.sandbox.conftest import Receiver, Run, Sandbox
from nself import config
from nself.core.project import Project
from serving import until

Start = Callable[..., subprocess.Popen[str]]
Receive = Callable[..., Receiver]


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout and process.stderr
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def test_a_trigger_makes_the_event_with_its_object(run: Run) -> None:
    names = run("trigger").out.split()
    assert {"payment_intent.succeeded", "invoice.paid", "checkout.session.completed"} <= set(names)
    made = {one["type"]: one["event"] for one in run("trigger", "payment_intent.succeeded", "--format", "json").json}
    event = run("retrieve", "events", made["payment_intent.succeeded"]).json
    intent = event["data"]["object"]
    secret = intent.pop("client_secret")
    assert secret and run("retrieve", "payment_intents", intent["id"]).json == intent
    assert intent["status"] == "succeeded"


def test_objects_of_any_kind_are_shown_as_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, id in (("customers", "cus_123"), ("subscriptions", "sub_123"), ("invoices", "in_123")):
        assert run("retrieve", kind, id).json["id"] == id
    monkeypatch.setenv("STRIPE_MOCK_ENABLED", "false")
    unused = run("retrieve", "customers", "cus_123")
    assert unused.code == 1 and "not to the sandbox" in unused.err


def test_a_payment_that_waits_for_its_cardholder(run: Run) -> None:
    def waiting() -> str:
        made = run("trigger", "payment_intent.requires_action", "--format", "json").json
        return run("retrieve", "events", made[-1]["event"]).json["data"]["object"]["id"]

    done = run("confirm", waiting(), "--format", "json").json
    assert (done["before"], done["steps"], done["status"]) == ("requires_action", ["authenticated"], "succeeded")
    failed = waiting()
    refused = run("confirm", failed, "--fail", "--format", "json").json
    assert (refused["steps"], refused["status"]) == (["not authenticated"], "requires_payment_method")
    declined = run("confirm", failed, "--payment-method", "pm_card_chargeDeclined")
    assert declined.code == 1 and "declined" in declined.err
    both = run("confirm", failed, "--payment-method", "pm_card_authenticationRequired", "--format", "json").json
    assert (both["steps"], both["status"]) == (["confirmed", "authenticated"], "succeeded")
    again = run("confirm", "pi_123", "--format", "json").json
    assert (again["before"], again["steps"]) == ("succeeded", [])


def test_listening_for_this_projects_own_service(
    run: Run, nself: Start, sandbox: Sandbox, receive: Receive, project: Path
) -> None:
    port = int(os.environ["BILLING_PORT"])
    receiver = receive(port)
    target = f"localhost:{port}/webhooks/stripe"
    process = nself("billing", "sandbox", "listen", "--forward-to", target, "--events", "1", "--format", "jsonl")
    first = ready(process)
    assert (first["url"], first["secret"]) == (f"http://127.0.0.1:{port}/webhooks/stripe", None)
    run("trigger", "product.created")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    (line,) = [json.loads(one) for one in out.splitlines()]
    assert (line["type"], line["status"], line["error"]) == ("product.created", 200, None)
    (secret,) = config.load(Project(project), {}).secrets("STRIPE_WEBHOOK_SECRET")
    body, signature = receiver.taken[0]
    assert stripe.Webhook.construct_event(body, signature, secret).id == line["event"]  # pyright: ignore
    assert run("retrieve", "webhook_endpoints", first["endpoint"]).json["status"] == "enabled", "it stays"
    shown = nself("billing", "sandbox", "listen", "--events", "1")
    assert shown.stdout
    assert shown.stdout.readline().startswith(f"> Ready! {first['endpoint']} sends to {first['url']}; ")
    run("trigger", "product.created")
    assert "product.created [evt_" in shown.communicate(timeout=20)[0]


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_another_url_gets_an_endpoint_for_the_time_of_listening(
    run: Run, nself: Start, sandbox: Sandbox, receive: Receive, ends: signal.Signals
) -> None:
    receiver = receive()
    process = nself("billing", "sandbox", "listen", "--forward-to", f"{receiver.address}/x", "--format", "jsonl")
    first = ready(process)
    run("clock", "advance", "400d")
    run("trigger", "product.created")
    until(lambda: receiver.taken)
    for body, signature in receiver.taken:
        stripe.Webhook.construct_event(body, signature, first["secret"])  # pyright: ignore
    process.send_signal(ends)
    assert process.wait(20) == 130
    gone = run("retrieve", "webhook_endpoints", first["endpoint"])
    assert gone.code == 1 and "No such" in gone.err


def test_what_a_killed_one_left_is_removed_and_what_others_made_is_used(
    run: Run, nself: Start, sandbox: Sandbox, receive: Receive
) -> None:
    receiver = receive()
    listen = ["billing", "sandbox", "listen", "--format", "jsonl", "--forward-to"]
    killed = nself(*listen, f"{receiver.address}/x")
    left = ready(killed)
    killed.kill()
    killed.wait()
    theirs = {
        "object": "webhook_endpoint",
        "id": "we_theirs",
        "url": f"http://{receiver.address}/theirs",
        "enabled_events": ["*"],
        "status": "enabled",
    }
    sandbox.admin("POST", "fixtures", {"objects": [theirs]})
    using = nself(*listen, f"{receiver.address}/theirs", "--events", "1")
    assert (ready(using)["endpoint"], run("retrieve", "webhook_endpoints", left["endpoint"]).code) == ("we_theirs", 1)
    run("trigger", "product.created")
    assert len(using.communicate(timeout=20)[0].splitlines()) == 1
    assert run("retrieve", "webhook_endpoints", "we_theirs").code == 0


def test_a_receiver_that_does_not_answer_is_told(run: Run, nself: Start) -> None:
    process = nself("billing", "sandbox", "listen", "--events", "1")
    assert process.stdout
    assert "billing does not run: nself start billing" in process.stdout.readline()
    run("trigger", "product.created")
    out, _ = process.communicate(timeout=20)
    assert "product.created [evt_" in out and "no answer: " in out
