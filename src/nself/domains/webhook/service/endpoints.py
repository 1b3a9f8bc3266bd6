"""The endpoint at Stripe that sends events here."""

from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from typing import Any

import msgspec

from nself import log
from nself.app import App
from nself.domains.setting import service as setting
from nself.domains.setting.inputs import SetSettings
from nself.domains.webhook.errors import ReceiverAway
from nself.domains.webhook.inputs import ListEndpoints, TestSignature, UpdateUrl
from nself.domains.webhook.model import Endpoint, SignatureTest, UpdatedEndpoint
from nself.gateway import signature
from nself.gateway.signature import NoWebhookSecret

TEST_SECONDS = 10
MARK = {"nself": "webhooks"}


def receiver_url(app: App) -> str:
    """Where this project's own service takes events, for who is on this machine."""
    return f"http://127.0.0.1:{app.settings.integer('BILLING_PORT')}/webhooks/stripe"


def list_endpoints(app: App, given: ListEndpoints) -> list[Endpoint]:
    """All endpoints of the account."""
    return [_endpoint(one) for one in app.stripe.webhook_endpoints()]


def update_url(app: App, given: UpdateUrl) -> UpdatedEndpoint:
    """Point our endpoint at `url`, or make one and keep its secret, which Stripe shows only once."""
    found = list(app.stripe.webhook_endpoints())
    ours = next((one for one in found if one["url"] == given.url), None)
    ours = ours or next((one for one in found if one.get("metadata") == MARK), None)
    if ours is not None and app.settings.secrets("STRIPE_WEBHOOK_SECRET"):
        if ours["url"] != given.url or ours["status"] != "enabled":
            ours = app.stripe.update_webhook_endpoint(
                ours["id"], {"url": given.url, "disabled": False}, uuid.uuid4().hex
            )
        return UpdatedEndpoint(id=ours["id"], url=ours["url"], created=False, note="the secret stays as it is")
    params = {"url": given.url, "enabled_events": ["*"], "metadata": MARK, "description": "nself billing"}
    made = app.stripe.create_webhook_endpoint(params, uuid.uuid4().hex)
    kept = ",".join([made["secret"], *app.settings.secrets("STRIPE_WEBHOOK_SECRET")])
    setting.set_values(app, SetSettings(assignments=[f"STRIPE_WEBHOOK_SECRET={kept}"]))
    if ours is not None and ours["url"] == given.url and ours.get("metadata") == MARK:
        # Made by a run that was killed before it kept the secret: it could only send what we must refuse.
        app.stripe.delete_webhook_endpoint(ours["id"], uuid.uuid4().hex)
    log.info("webhook_endpoint_created", endpoint=made["id"], url=given.url)
    return UpdatedEndpoint(
        id=made["id"],
        url=made["url"],
        created=True,
        note="its secret was stored; run `nself restart billing` to use it",
    )


def test_signature(app: App, given: TestSignature) -> SignatureTest:
    """Send signed test events to our own receiver. Raises NoWebhookSecret, ReceiverAway."""
    url = receiver_url(app)
    secrets = app.settings.secrets("STRIPE_WEBHOOK_SECRET")
    if not secrets:
        raise NoWebhookSecret
    signed = [_post(app, url, secret) for secret in secrets]
    wrong = _post(app, url, "whsec_wrong")
    passed = wrong == 400 and all(status == 200 for status in signed)
    return SignatureTest(url=url, secrets=len(secrets), signed=signed, wrongly_signed=wrong, passed=passed)


def _post(app: App, url: str, secret: str) -> int:
    """The HTTP status that a test event signed with `secret` gets; it is stored and ignored."""
    now = app.clock()
    thing = {"object": "nself_test"}
    event = {
        "id": f"evt_nself_{uuid.uuid4().hex}", "object": "event", "type": "nself.test", "created": int(now.timestamp()),
        "livemode": app.settings.live, "data": {"object": thing},
    }  # fmt: skip
    body = msgspec.json.encode(event)
    request = urllib.request.Request(url, body, {"Stripe-Signature": signature.sign(body, secret, now)})
    try:
        with urllib.request.urlopen(request, timeout=TEST_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError as error:
        raise ReceiverAway(url=url, detail=error) from error


def _endpoint(one: dict[str, Any]) -> Endpoint:
    return Endpoint(
        id=one["id"],
        url=one["url"],
        status=one["status"],
        events=one["enabled_events"],
        api_version=one.get("api_version"),
    )
