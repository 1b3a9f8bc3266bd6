"""Passwords, codes (RFC 6238), locks and roles. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import datetime, timedelta

from nself.domains.operator.model import WeakPassword

LEAST = 10
"""Characters of a password."""
SALT, TOKEN = 16, 32
"""Bytes."""
SCRYPT_N, SCRYPT_R, SCRYPT_P = 2**14, 8, 1
LINK_LIVES, SESSION_LIVES, IDLE = timedelta(minutes=30), timedelta(hours=12), timedelta(hours=1)
STEP, DIGITS, DRIFT = 30, 6, 1
"""Seconds of a code; steps that a device's clock may be off."""
FREE_FAILURES, LONGEST_LOCK = 5, 900
CODE = re.compile(r"[0-9]{6}")


def hashed(password: str, salt: bytes) -> bytes:
    """Salt and scrypt hash. Raises WeakPassword."""
    if len(password) < LEAST:
        raise WeakPassword(least=LEAST)
    return salt + _scrypt(password, salt)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=SCRYPT_P, dklen=32)


def proves(password: str, stored: bytes | None) -> bool:
    """Takes as long for an account that does not exist as for one that does."""
    known = stored or bytes(SALT + 32)
    return hmac.compare_digest(_scrypt(password, known[:SALT]), known[SALT:]) and stored is not None


def digest(token: str) -> bytes:
    """Under what a token is stored: tokens are random, so that a plain hash suffices."""
    return hashlib.sha256(token.encode()).digest()


def totp(secret: str, step: int) -> str:
    """The code of RFC 6238 (SHA-1, 6 digits, 30 s) in a time step."""
    mac = hmac.digest(base64.b32decode(secret), step.to_bytes(8, "big"), "sha1")
    at = mac[-1] & 15
    return f"{(int.from_bytes(mac[at : at + 4], 'big') & 0x7FFFFFFF) % 10**DIGITS:0{DIGITS}}"


def step_of(code: str, secret: str, now: datetime, newest: int) -> int | None:
    """The time step whose code it is, if that is near `now` and was not used: later than `newest`."""
    if not CODE.fullmatch(code):
        return None
    middle = int(now.timestamp()) // STEP
    try:
        return next(
            (
                step
                for step in range(middle - DRIFT, middle + DRIFT + 1)
                if step > newest and hmac.compare_digest(totp(secret, step), code)
            ),
            None,
        )
    except binascii.Error:
        return None


def secret(random: bytes) -> str:
    return base64.b32encode(random).decode().rstrip("=")[:32]


def locked_for(failures: int, failed_at: datetime | None, now: datetime) -> int:
    """Whole seconds; doubling from the sixth wrong answer in a row on."""
    if failed_at is None or failures < FREE_FAILURES:
        return 0
    lock = min(LONGEST_LOCK, 2 ** min(20, failures - FREE_FAILURES + 1))
    return max(0, lock - int((now - failed_at).total_seconds()))
