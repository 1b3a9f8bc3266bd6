"""Replacing the webhook secret, and showing it.

Stripe makes a secret only with an endpoint. The new endpoint is made quiet, so that nothing is signed with a secret
that we do not hold yet; both secrets are good while it takes over; what the old one still had to deliver is read from
Stripe's list. A run that was killed leaves an endpoint that the next one removes.
"""

from __future__ import annotations

import uuid
from typing import Any

from nself import log
from nself.app import App
from nself.core.errors import Unavailable
from nself.core.settings import mask
from nself.domains.setting import service as setting
from nself.domains.webhook import rules
from nself.domains.webhook.errors import NoEndpoint, ReceiverAway, SecretNotTaken
from nself.domains.webhook.inputs import RotateSecret, ShowSecret
from nself.domains.webhook.model import Rotated, ShownSecret
from nself.domains.webhook.service import endpoints, place, recover, signing
from nself.domains.webhook.service.endpoints import MARK, SETTING, UNDER_WAY
from nself.gateway.api import Snapshot
from nself.gateway.signature import NoWebhookSecret

QUIET = ["sigma.scheduled_query_run.created"]
"""What a new endpoint is made for until we hold its secret."""


def rotate(app: App, given: RotateSecret) -> Rotated:
    """Raises NoEndpoint, SecretElsewhere, SecretNotTaken, EndpointsBusy, NothingRead, the gateway's errors."""
    endpoints.require_ours(app)
    secret = setting.read_value(SETTING).strip() if given.secret_stdin else ""
    with endpoints.alone(app):
        return _by_hand(app, secret, given.immediate) if given.secret_stdin else _rotate(app, given)


def _rotate(app: App, given: RotateSecret) -> Rotated:
    old, also = _ours(app)
    known = endpoints.known_secrets(app)
    made = _make(app, old, given.immediate)
    endpoints.keep_secrets(app, [made["secret"]] if given.immediate else [made["secret"], *known])
    verified = "not tried before the old one was retired"
    if not given.immediate:
        verified = _verified(app, made["secret"], old["id"])
        _take_over(app, made, old)
    for one in [old, *also]:
        endpoints.remove(app, one)
    if given.immediate:
        _take_over(app, made, old)
        verified = _verified(app, made["secret"], None)
    else:
        recover.recover(app)
        endpoints.keep_secrets(app, [made["secret"]])
    log.info(
        "webhook_secret_rotated",
        endpoint=made["id"],
        retired=old["id"],
        immediate=given.immediate,
        operator=app.operator(),
    )
    return Rotated(
        endpoint=made["id"],
        retired=old["id"],
        secret=mask(made["secret"]),
        secrets=1,
        verified=verified,
        note="a running service takes up the new secret, and lets go of the old one, within a second",
    )


def _ours(app: App) -> tuple[Snapshot, list[Snapshot]]:
    """The endpoint to be replaced, and others that earlier runs left. Raises NoEndpoint."""
    found = list(app.stripe.listed("webhook_endpoints"))
    for one in [one for one in found if endpoints.left(one, found)]:
        endpoints.remove(app, one)
        found.remove(one)
    old = endpoints.ours(app, found)
    if old is None:
        raise NoEndpoint
    also = [one for one in found if one["id"] != old["id"] and endpoints.marked(one, found)]
    return old, [one for one in also if place.same_place(one["url"], old["url"])]


def _make(app: App, old: Snapshot, immediate: bool) -> Snapshot:
    params: dict[str, Any] = {
        "url": old["url"],
        "enabled_events": old["enabled_events"] if immediate else QUIET,
        "metadata": {**MARK, UNDER_WAY: old["id"]},
        "description": old.get("description") or "nself billing",
    }
    if old.get("api_version"):
        params["api_version"] = old["api_version"]
    return app.stripe.change("webhook_endpoints", params=params, key=uuid.uuid4().hex)


def _take_over(app: App, made: Snapshot, old: Snapshot) -> None:
    change = {"enabled_events": old["enabled_events"], "metadata": {UNDER_WAY: ""}}
    app.stripe.change("webhook_endpoints", made["id"], params=change, key=uuid.uuid4().hex)


def _verified(app: App, secret: str, old: str | None) -> str:
    """By a signed test event. Raises SecretNotTaken where `old` can still stay."""
    try:
        status = endpoints.post(app, secret)
    except ReceiverAway:
        return "not verified, the service does not run; then: nself billing webhook test-signature"
    if status == 200:
        return "the running service takes events that are signed with it"
    if old:
        raise SecretNotTaken(status=status, old=old)
    return f"the running service answers {status}: nself restart billing"


def _by_hand(app: App, secret: str, immediate: bool) -> Rotated:
    """Rolled in the Dashboard: the endpoint is the same, and Stripe signs with both for as long as was chosen there."""
    known = [] if immediate else endpoints.known_secrets(app)
    endpoints.keep_secrets(app, [secret, *known])
    verified = _verified(app, secret, None)
    log.info("webhook_secret_rotated", endpoint=None, immediate=immediate, operator=app.operator())
    notes = [rules.secret_note(secret)] if rules.secret_note(secret) else []
    if known:
        notes.append("the old secret is good until: nself billing webhook rotate-secret --secret-stdin --immediate")
    return Rotated(
        endpoint="the same",
        retired=None,
        secret=mask(secret),
        secrets=len(app.settings.secrets(SETTING)),
        verified=verified,
        note="; ".join(notes),
    )


def show_secret(app: App, given: ShowSecret) -> list[ShownSecret]:
    """One row a secret, masked unless it is to be revealed. Raises NoWebhookSecret."""
    value, secrets = app.settings.value(SETTING), app.settings.secrets(SETTING)
    if not secrets:
        raise NoWebhookSecret
    if given.reveal:
        log.warning("webhook_secret_revealed", origin=value.origin, operator=app.operator())
    refused = _refused(app)
    return [
        ShownSecret(
            secret=one if given.reveal else mask(one),
            origin=value.origin,
            length=len(one),
            note="; ".join(note for note in (rules.secret_note(one), value.odd or "", *refused) if note),
        )
        for one in secrets
    ]


def _refused(app: App) -> list[str]:
    """What the newest deliveries say of our secrets, while the database answers."""
    try:
        found = signing.standing(app).values()
    except Unavailable:
        return []
    told = (one for one in found if one.reason in signing.OF_THE_SECRET or one.skew is not None)
    return [
        f"{one.times} deliveries refused since the last good one: {rules.cause(one.reason, one.skew)}" for one in told
    ]
