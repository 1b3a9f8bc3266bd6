"""Verifies and makes `Stripe-Signature` headers: `t=<unix seconds>,v1=<hex>[,v1=<hex>…]`.

HMAC-SHA256 over `<t>.<raw body>` with the endpoint's whole secret (docs.stripe.com/webhooks#verify-manually).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from nself.core.errors import Invalid

LONGEST_HEADER = 4096
SECONDS = re.compile(r"[0-9]{1,11}")
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=_-]+")


class InvalidSignature(Invalid):
    """None of our secrets made any of the signatures. `reason` is the cause in one word."""

    reason = "wrong_secret"

    code, guide = "webhook_signature_verification_failed", "10.10"
    text = "No signatures found matching the expected signature for payload"
    hints = (
        'nself env set STRIPE_WEBHOOK_SECRET="whsec_new_secret"',
        "nself restart billing",
        "nself billing webhook test-signature",
    )


class Unsigned(InvalidSignature):
    """The header is missing or none of Stripe's: it did not come from Stripe."""

    reason = "unsigned"


class NoWebhookSecret(InvalidSignature):
    reason = "no_secret"
    text = "No signatures found matching the expected signature for payload: STRIPE_WEBHOOK_SECRET is not set"


class SignatureTooFar(InvalidSignature):
    """The signature is right, only its time is off. `skew` in seconds, positive when our clock is ahead."""

    reason, guide = "clock_skew", "1.2.3"
    text = (
        "The signature was made {seconds} seconds {side} our clock's time, more than the tolerance of "
        "{tolerance:g} seconds: check the clock (date -u)"
    )
    hints = ("nself billing webhook test-signature",)
    skew: int

    def __init__(self, skew: int, tolerance: float) -> None:
        super().__init__(seconds=abs(skew), side="before" if skew > 0 else "after", tolerance=tolerance)
        self.skew = skew


class SecretNotEscaped(InvalidSignature):
    """What stands in our secret, without what surrounds it, is the secret that signed."""

    reason, guide = "secret_not_escaped", "1.2.4"
    text = (
        "No signatures found matching the expected signature for payload: STRIPE_WEBHOOK_SECRET holds quotes, blanks or "
        "backslashes that do not belong to the secret"
    )
    hints = ("nself billing webhook show-secret", "nself env set STRIPE_WEBHOOK_SECRET --stdin")


def _digest(secret: str, at: str, payload: bytes) -> bytes:
    return hmac.digest(secret.encode(), b"%b.%b" % (at.encode(), payload), "sha256").hex().encode()


def sign(payload: bytes, secret: str, at: datetime, *others: str) -> str:
    """The header that Stripe sends with `payload` at the aware instant `at`; `others` while a secret is being replaced."""
    seconds = str(int(at.timestamp()))
    return f"t={seconds}," + ",".join(f"v1={_digest(one, seconds, payload).decode()}" for one in (secret, *others))


def verify(payload: bytes, header: str | None, secrets: Iterable[str], now: datetime, tolerance: float) -> datetime:
    """When the raw body `payload` was signed, given that one of `secrets` signed it.

    `tolerance` in seconds, both into the past and the future. Raises InvalidSignature, of a kind that names the cause.
    """
    keys = [secret for secret in secrets if secret]
    if not keys:
        raise NoWebhookSecret
    parts = [part.strip().partition("=") for part in (header or "")[:LONGEST_HEADER].split(",")]
    times = [value for name, _, value in parts if name == "t"]
    given = [value.encode() for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not SECONDS.fullmatch(times[0]) or not given:
        raise Unsigned

    def signed(keys: Iterable[str]) -> bool:
        expected = [_digest(secret, times[0], payload) for secret in keys]
        return any(hmac.compare_digest(ours, theirs) for ours in expected for theirs in given)

    if not signed(keys):
        inside = [found for key in keys for found in SECRET.findall(key) if found != key]
        raise SecretNotEscaped if inside and signed(inside) else InvalidSignature
    skew = int(now.timestamp()) - int(times[0])
    if abs(skew) > tolerance:
        raise SignatureTooFar(skew, tolerance)
    return datetime.fromtimestamp(int(times[0]), UTC)
