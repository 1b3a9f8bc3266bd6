"""The endpoint at Stripe that sends events here."""

from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import cast

import msgspec

from nself import config, log
from nself.app import App
from nself.core.clock import monotonic
from nself.domains.connection.rules import WEBHOOK_PATHS
from nself.domains.setting import service as setting
from nself.domains.setting.inputs import SetSettings
from nself.domains.trail import service as trail
from nself.domains.webhook import store
from nself.domains.webhook.errors import EndpointsBusy, NotPublic, ReceiverAway, SecretElsewhere
from nself.domains.webhook.inputs import ListEndpoints, TestSignature, UpdateUrl
from nself.domains.webhook.model import Endpoint, SignatureTest, UpdatedEndpoint
from nself.domains.webhook.service import place, reach, recover
from nself.domains.webhook.service.receive import OWN_TEST
from nself.gateway import signature
from nself.gateway.api import Snapshot
from nself.gateway.errors import NoSuchObject
from nself.gateway.signature import NoWebhookSecret

TEST_SECONDS = 10
MARK = {"nself": "webhooks"}
UNDER_WAY = "nself_rotation"
"""In the metadata of an endpoint that is to take over from the one named there."""
SETTING = "STRIPE_WEBHOOK_SECRET"


def receiver_url(app: App) -> str:
    """Where this project's own service takes events, for who is on this machine."""
    return f"http://127.0.0.1:{app.settings.integer('BILLING_PORT')}{WEBHOOK_PATHS[0]}"


def ours(app: App, found: list[Snapshot]) -> Snapshot | None:
    """The endpoint that we made; else one that sends to this machine's service; else one with its path.

    Whoever has a key can make one with our mark: of several, one whose address an operator gave us counts, else the oldest.
    """
    here = receiver_url(app)
    with app.db.reading() as tx:
        known = trail.mentioned(tx, [one["url"] for one in found])
    made = sorted(
        (one for one in found if marked(one, found)),
        key=lambda one: (one["url"] not in known and not place.same_place(one["url"], here), one["created"]),
    )
    near = [one for one in found if place.same_place(one["url"], here)]
    alike = [one for one in found if str(one["url"]).rstrip("/").endswith(WEBHOOK_PATHS)]
    return next(iter([*made, *near, *alike]), None)


def marked(one: Snapshot, found: list[Snapshot]) -> bool:
    """Whether we made it and it is in use: one that was to take over is, once the one before it is gone."""
    metadata = _metadata(one)
    return metadata.get("nself") == MARK["nself"] and metadata.get(UNDER_WAY) not in {other["id"] for other in found}


def _metadata(one: Snapshot) -> dict[str, str]:
    return cast("dict[str, str]", one.get("metadata") or {})


def left(one: Snapshot, found: list[Snapshot]) -> bool:
    """Whether a rotation that was killed left it behind."""
    return UNDER_WAY in _metadata(one) and not marked(one, found)


def rivals(found: list[Snapshot], ours: Snapshot | None) -> list[str]:
    """Ids of other endpoints that send to the same place."""
    if ours is None:
        return []
    return [one["id"] for one in found if one["id"] != ours["id"] and place.same_place(one["url"], ours["url"])]


@contextmanager
def alone(app: App) -> Generator[None]:
    """Nobody else changes endpoints and secrets meanwhile. Raises EndpointsBusy."""
    with app.db.reading() as tx:
        if not store.lock_endpoints(tx):
            raise EndpointsBusy
        try:
            yield
        finally:
            store.unlock_endpoints(tx)


def known_secrets(app: App) -> list[str]:
    """As they are stored now: this process may have read them before somebody else changed them. Raises InvalidSetting."""
    return list(config.load(app.project, app.environ).secrets(SETTING))


def remove(app: App, one: Snapshot) -> None:
    """Somebody may have done so by hand. Raises the gateway's errors."""
    with suppress(NoSuchObject):
        app.stripe.remove("webhook_endpoints", one["id"], params={}, key=uuid.uuid4().hex)


def list_endpoints(app: App, given: ListEndpoints) -> list[Endpoint]:
    """All endpoints of the account, with what is wrong with each."""
    found = list(app.stripe.listed("webhook_endpoints"))
    return [
        Endpoint(
            id=one["id"],
            url=one["url"],
            status=one["status"],
            events=one["enabled_events"],
            api_version=one.get("api_version"),
            note=place.endpoint_note(one, found, app.settings.live),
        )
        for one in found
    ]


def update_url(app: App, given: UpdateUrl) -> UpdatedEndpoint:
    """Point our endpoint at `url`, or make one and keep its secret, which Stripe shows only once.

    Raises NotPublic, SecretElsewhere, EndpointsBusy, the gateway's errors.
    """
    detail = place.unusable(given.url) or (app.settings.live and place.not_public(given.url))
    if detail:
        raise NotPublic(url=given.url, detail=detail)
    with alone(app):
        return _update_url(app, given)


def _update_url(app: App, given: UpdateUrl) -> UpdatedEndpoint:
    everything = list(app.stripe.listed("webhook_endpoints"))
    found = [one for one in everything if not left(one, everything)]
    ours = next((one for one in found if one["url"] == given.url), None)
    ours = ours or next((one for one in found if marked(one, found)), None)
    known = known_secrets(app)
    if ours is not None and known:
        if ours["url"] != given.url or ours["status"] != "enabled":
            ours = app.stripe.change(
                "webhook_endpoints", ours["id"], params={"url": given.url, "disabled": False}, key=uuid.uuid4().hex
            )
            log.info("webhook_endpoint_updated", endpoint=ours["id"], url=given.url, operator=app.operator())
        return _updated(app, ours, False, "the secret stays as it is")
    require_ours(app)
    params = {"url": given.url, "enabled_events": ["*"], "metadata": MARK, "description": "nself billing"}
    made = app.stripe.change("webhook_endpoints", params=params, key=uuid.uuid4().hex)
    keep_secrets(app, [made["secret"], *known])
    recover.begin(app, datetime.fromtimestamp(made["created"], UTC))
    if ours is not None and ours["url"] == given.url and marked(ours, found):
        # Made by a run that was killed before it kept the secret: it could only send what we must refuse.
        remove(app, ours)
    log.info("webhook_endpoint_created", endpoint=made["id"], url=given.url, operator=app.operator())
    return _updated(app, made, True, "its secret was stored; a running service takes it up within a second")


def _updated(app: App, one: Snapshot, created: bool, note: str) -> UpdatedEndpoint:
    failed = next((check for check in reach.way(one["url"], app.clock()) if not check.ok), None)
    if failed:
        note += f"; warning: not reached from this machine ({failed.detail}), look with: nself billing webhook status"
    return UpdatedEndpoint(id=one["id"], url=one["url"], created=created, note=note)


def require_ours(app: App) -> None:
    """Raises SecretElsewhere where what we store would not be in force."""
    origin = app.settings.value(SETTING).origin
    if origin == "environment":
        raise SecretElsewhere(origin="the environment")


def keep_secrets(app: App, secrets: list[str]) -> None:
    """In this order; running services take them up by themselves."""
    setting.set_values(app, SetSettings(assignments=[f"{SETTING}={','.join(dict.fromkeys(secrets))}"]))


def test_signature(app: App, given: TestSignature) -> SignatureTest:
    """Send signed test events to our own receiver. Raises NoWebhookSecret, ReceiverAway."""
    url, secrets = receiver_url(app), app.settings.secrets(SETTING)
    if not secrets:
        raise NoWebhookSecret
    began = monotonic()
    signed = [post(app, secret) for secret in secrets]
    took = round((monotonic() - began) * 1000) // len(secrets)
    wrong = post(app, "whsec_wrong")
    return SignatureTest(
        url=url,
        secrets=len(secrets),
        signed=signed,
        wrongly_signed=wrong,
        milliseconds=took,
        passed=wrong == 400 and all(status == 200 for status in signed),
    )


def post(app: App, secret: str) -> int:
    """The HTTP status that a test event signed with `secret` gets from our own service; it is stored and ignored.

    Raises ReceiverAway.
    """
    url, now = receiver_url(app), app.clock()
    event = {
        "id": f"{OWN_TEST}{uuid.uuid4().hex}", "object": "event", "type": "nself.test", "created": int(now.timestamp()),
        "livemode": app.settings.live, "data": {"object": {"object": "nself_test"}},
    }  # fmt: skip
    body = msgspec.json.encode(event)
    request = urllib.request.Request(url, body, {"Stripe-Signature": signature.sign(body, secret, now)})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=TEST_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError as error:
        raise ReceiverAway(url=url, detail=error) from error
