"""Webhooks of our own: POSTed as JSON, signed as Stripe signs, taken where the answer is 2xx."""

from __future__ import annotations

from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from nself.app import App
from nself.domains.notification import rules
from nself.domains.notification.model import ALERT, Outgoing, Undeliverable
from nself.gateway import signature

SECONDS = 10.0
SHOWN = 200
JSON = {"Content-Type": "application/json", "User-Agent": "nself-billing"}
_pool = PoolManager(retries=False)


def send(app: App, one: Outgoing) -> str:
    """What was answered. Raises OSError where it was not taken; redirects are not followed. Undeliverable where NOTIFY_WEBHOOK_URL was emptied."""
    if one.kind == ALERT:
        return _post(app.settings.text("BILLING_ALERT_WEBHOOK_URL"), rules.chat(one), JSON)
    url, secrets = app.settings.text("NOTIFY_WEBHOOK_URL"), app.settings.secrets("NOTIFY_WEBHOOK_SECRET")
    if not url:
        raise Undeliverable("NOTIFY_WEBHOOK_URL is not set")
    if not secrets:
        raise OSError("NOTIFY_WEBHOOK_SECRET is not set: nself env set NOTIFY_WEBHOOK_SECRET --stdin")
    body = rules.event(one)
    headers = {**JSON, "Nself-Signature": signature.sign(body, secrets[0], app.clock(), *secrets[1:])}
    return _post(url, body, headers)


def _post(url: str, body: bytes, headers: dict[str, str]) -> str:
    """Raises OSError, Undeliverable where the address was emptied."""
    if not url:
        raise Undeliverable("no address is set")
    try:
        answer = _pool.request("POST", url, body=body, headers=headers, timeout=SECONDS, redirect=False)
    except HTTPError as error:
        raise OSError(str(error).replace(url, "the address")) from error
    if not 200 <= answer.status < 300:
        raise OSError(f"answered with {answer.status}: {answer.data[:SHOWN].decode('utf-8', 'replace')}")
    return str(answer.status)
