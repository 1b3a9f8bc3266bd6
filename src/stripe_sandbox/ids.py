"""Identifiers and secrets that look like Stripe's."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits
_UPPERCASE = string.ascii_uppercase + string.digits


def _random(length: int, alphabet: str = _ALPHABET) -> str:
    size = len(alphabet)
    return "".join([alphabet[byte % size] for byte in secrets.token_bytes(length)])


def new_id(prefix: str) -> str:
    return f"{prefix}_{_random(24)}"


def request_id() -> str:
    return f"req_{_random(14)}"


def client_secret(identifier: str) -> str:
    return f"{identifier}_secret_{_random(25)}"


def webhook_secret() -> str:
    return f"whsec_{_random(32)}"


def invoice_prefix() -> str:
    return _random(8, _UPPERCASE)


def fingerprint() -> str:
    return _random(16)


def coupon_id() -> str:
    return _random(8)


def promotion_code() -> str:
    return _random(8, _UPPERCASE)
