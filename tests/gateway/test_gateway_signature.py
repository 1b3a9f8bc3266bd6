"""Webhook signatures: ours against the official SDK's, in both directions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe as sdk
from hypothesis import given
from hypothesis import strategies as st

from nself.gateway.signature import InvalidSignature, NoWebhookSecret, SignatureTooFar, sign, verify

NOW = datetime(2026, 2, 10, 12, 0, 5, 900_000, tzinfo=UTC)
BODY = b'{"id": "evt_1", "text": "caf\xc3\xa9"}'
SECRET, OTHER = "whsec_first_secret", "whsec_second_secret"
PHRASE = "No signatures found matching the expected signature for payload"


def test_the_sdk_accepts_what_we_sign() -> None:
    header = sign(BODY, SECRET, datetime.now(UTC))
    official: Any = sdk.WebhookSignature  # untyped
    assert official.verify_header(BODY.decode(), header, SECRET, 300)


@given(st.text(max_size=50), st.text(alphabet="abcdef0123456789", min_size=1, max_size=20))
def test_we_accept_exactly_what_was_signed(text: str, tail: str) -> None:
    body, secret = text.encode(), f"whsec_{tail}"
    header = sign(body, secret, NOW)
    assert verify(body, header, [secret], NOW, 300) == NOW.replace(microsecond=0)
    with pytest.raises(InvalidSignature):
        verify(body + b" ", header, [secret], NOW, 300)
    with pytest.raises(InvalidSignature):
        verify(body, header, [secret + "0"], NOW, 300)


@pytest.mark.parametrize("secrets", [[OTHER, SECRET], [SECRET, OTHER]])
def test_either_secret_will_do_while_one_is_replaced(secrets: list[str]) -> None:
    assert verify(BODY, sign(BODY, SECRET, NOW), secrets, NOW, 300)


def test_any_of_several_signatures_will_do() -> None:
    wrong = sign(BODY, OTHER, NOW)
    right = sign(BODY, SECRET, NOW).partition(",")[2]
    assert verify(BODY, f"{wrong},v0=abc,{right}", [SECRET], NOW, 300)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "nonsense",
        "t=,v1=",
        f"v1={'0' * 64}",
        f"t=now,v1={'0' * 64}",
        f"t=-5,v1={'0' * 64}",
        f"t={'9' * 40},v1={'0' * 64}",
        f"t=1770724805,v1={'é' * 64}",
        sign(BODY, SECRET, NOW).replace("v1=", "v0="),
        sign(BODY, SECRET, NOW).partition(",")[0],
        f"t=1,{sign(BODY, SECRET, NOW)}",
        f"{sign(BODY, SECRET, NOW)},t=1",
        "x," * 5000 + sign(BODY, SECRET, NOW),
    ],
)
def test_what_is_not_a_right_signature_is_refused_in_the_guides_words(header: str | None) -> None:
    with pytest.raises(InvalidSignature) as found:
        verify(BODY, header, [SECRET], NOW, 300)
    assert found.value.message == PHRASE
    assert (found.value.code, found.value.status) == ("webhook_signature_verification_failed", 400)


@pytest.mark.parametrize(("skew", "side"), [(301, "before"), (-302, "after")])
def test_a_wrong_clock_is_told_in_seconds(skew: int, side: str) -> None:
    header = sign(BODY, SECRET, NOW - timedelta(seconds=skew))
    with pytest.raises(SignatureTooFar) as found:
        verify(BODY, header, [SECRET], NOW, 300)
    assert found.value.skew == skew
    assert f"{abs(skew)} seconds {side}" in found.value.message
    assert found.value.code == "webhook_signature_verification_failed"


@pytest.mark.parametrize("skew", [300, -300])
def test_the_tolerance_itself_is_allowed(skew: int) -> None:
    assert verify(BODY, sign(BODY, SECRET, NOW - timedelta(seconds=skew)), [SECRET], NOW, 300)


def test_a_forged_signature_learns_nothing_about_the_clock() -> None:
    old = sign(BODY, OTHER, NOW - timedelta(days=1))
    with pytest.raises(InvalidSignature) as found:
        verify(BODY, old, [SECRET], NOW, 300)
    assert type(found.value) is InvalidSignature


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_nothing_is_accepted(secrets: list[str]) -> None:
    with pytest.raises(NoWebhookSecret, match="STRIPE_WEBHOOK_SECRET is not set"):
        verify(BODY, sign(BODY, "", NOW), secrets, NOW, 300)
