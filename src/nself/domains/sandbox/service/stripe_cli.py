"""What Stripe's own command line does with an account, here with the sandbox, through the product's own key."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.domains.sandbox import rules, store
from nself.domains.sandbox.inputs import ConfirmPayment, Listen, RetrieveObject
from nself.domains.sandbox.model import Forwarded, Listening, PaymentConfirmed, StripeObject
from nself.domains.sandbox.service.reach import ask, instant, must_be_used
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import RestartServices, ShowStatus
from nself.domains.webhook.inputs import UpdateUrl
from nself.domains.webhook.service import endpoints

MARK = "listen"


def retrieve(app: App, given: RetrieveObject) -> StripeObject:
    """`GET /v1/KIND/ID`. Raises TestModeOnly, SandboxUnused, and the gateway's errors."""
    must_be_used(app)
    return StripeObject(app.stripe.retrieve(given.kind, given.id))


def confirm(app: App, given: ConfirmPayment) -> PaymentConfirmed:
    """Confirm a payment where it waits for that, and do what its cardholder does.

    Raises TestModeOnly, SandboxUnused, SandboxAway, and the gateway's errors.
    """
    must_be_used(app)
    intent, steps = app.stripe.fetch("payment_intent", given.id), list[str]()
    before = intent["status"]
    if before not in ("requires_action", "succeeded"):
        params = {"payment_method": given.payment_method} if given.payment_method else {}
        intent = app.stripe.change("payment_intents", given.id, "confirm", params=params, key=uuid.uuid4().hex)
        steps.append("confirmed")
    if intent["status"] == "requires_action":
        outcome = "fail" if given.fail else "succeed"
        intent = ask(app, "POST", f"payment_intents/{intent['id']}/authenticate", {"outcome": outcome})
        steps.append("not authenticated" if given.fail else "authenticated")
    return PaymentConfirmed(payment_intent=intent["id"], before=before, status=intent["status"], steps=steps)


def listen(app: App, given: Listen) -> Generator[Listening | Forwarded]:
    """One row for each delivery, until interrupted or `events` came. Raises TestModeOnly, SandboxUnused, SandboxAway."""
    must_be_used(app)
    own = endpoints.receiver_url(app)
    url = rules.forward_url(given.forward_to) if given.forward_to else own
    if rules.is_own(url, app.settings.integer("BILLING_PORT")):
        url = own
    last = ask(app, "GET", "attempts?limit=0")["last"]
    return _listening(app, url, last, given.events)


def _listening(app: App, url: str, last: int, most: int | None) -> Generator[Listening | Forwarded]:
    with _ends_in_order(), _endpoint(app, url) as ready:
        yield ready
        seen = 0
        while most is None or seen < most:
            found = ask(app, "GET", f"attempts?after={last}&endpoint={ready.endpoint}")["attempts"]
            for one in found[: None if most is None else most - seen]:
                yield Forwarded(
                    at=instant(one["at"]), type=one["type"], event=one["event"], status=one["status"], error=one["error"]
                )  # fmt: skip
                last, seen = one["n"], seen + 1
            if not found:
                store.pause()


@contextmanager
def _ends_in_order() -> Generator[None]:
    """SIGTERM ends it as ^C does, so that what is temporary is removed."""
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _endpoint(app: App, url: str) -> Generator[Listening]:
    """The endpoint for the URL: our own one is kept, another one lasts as long as this."""
    if url == endpoints.receiver_url(app):
        yield _own(app, url)
        return
    found = _others(app, url)
    if found is not None:
        yield Listening(url=url, endpoint=found, secret=None, note="the endpoint was there already and stays")
        return
    params = {
        "url": url,
        "enabled_events": ["*"],
        "description": "nself billing sandbox listen",
        "metadata": {"nself": MARK, "process": str(os.getpid())},
    }
    made = app.stripe.change("webhook_endpoints", params=params, key=uuid.uuid4().hex)
    try:
        yield Listening(url=url, endpoint=made["id"], secret=made["secret"], note="removed when this ends")
    finally:
        with suppress(BillingError):  # the sandbox may be gone; the next one removes it then
            app.stripe.remove("webhook_endpoints", made["id"], params={}, key=uuid.uuid4().hex)
        log.info("sandbox_listen_ended", endpoint=made["id"])


def _own(app: App, url: str) -> Listening:
    """The services must know the secret, so those that run with another one are restarted."""
    ours = endpoints.update_url(app, UpdateUrl(url=url))
    rows = stack.status(app, ShowStatus(services=["billing"]))
    note = "billing does not run: nself start billing"
    if any(row.state == "running" for row in rows):
        note = "this project's own service"
        if any(row.changed for row in rows):
            stack.restart(app, RestartServices(services=["billing"]))
            note = "this project's own service, restarted with the endpoint's secret"
    return Listening(url=url, endpoint=ours.id, secret=None, note=note)


def _others(app: App, url: str) -> str | None:
    """An endpoint that somebody made for this URL. What a killed `listen` left is removed."""
    found: str | None = None
    for one in app.stripe.listed("webhook_endpoints"):
        about: dict[str, str] = one["metadata"]
        if about.get("nself") != MARK:
            found = one["id"] if one["url"] == url and one["status"] == "enabled" else found
        elif (process := about.get("process", "")).isdecimal() and not store.lives(int(process)):
            app.stripe.remove("webhook_endpoints", one["id"], params={}, key=uuid.uuid4().hex)
    return found
