"""What somebody sent in the wrong place is not repeated."""

from __future__ import annotations

import pytest

from nself.core.errors import InvalidInteger, InvalidParameter
from nself.core.redact import redact, without_keys
from nself.domains.customer.model import NoSuchCustomer
from nself.domains.webhook.rules import without_client_secret

KEY, CARD = "sk_test_51PLANTEDkey0123", "4000056655665556"


@pytest.mark.parametrize("secret", [KEY, CARD, "pi_1_secret_PLANTED", "postgresql://me:PLANTED@db/x"])
def test_no_error_repeats_a_secret(secret: str) -> None:
    for error in (InvalidInteger(secret), InvalidParameter(f"Invalid user: {secret}"), NoSuchCustomer(customer=secret)):
        told = str(error.body("req_1"))
        assert "PLANTED" not in told and CARD not in told and error.message


def test_only_keys_are_taken_out_of_what_is_to_be_replayed() -> None:
    assert without_keys(f'{{"user": "{CARD}", "key": "{KEY}"}}') == f'{{"user": "{CARD}", "key": "sk_test_***"}}'
    assert redact(CARD) == "[card number]"


def test_an_event_is_kept_without_its_client_secret() -> None:
    event = '{"id":"evt_1","object":{"id":"pi_1","client_secret": "pi_1_secret_x","amount":1,"client_secret":null}}'
    assert without_client_secret(event) == event.replace('"pi_1_secret_x"', "null")
    assert without_client_secret("{}") == "{}"
