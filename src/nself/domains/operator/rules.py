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
OWNERS = ("billing operator ", "billing api-key ", "env set", "env unset", "exec", "db restore")
"""How commands begin that take an owner."""
SUPPORT = frozenset(
    {
        "billing customer notify", "billing customer link", "billing quota set", "billing quota unblock", "billing incident create",
        "billing incident note", "billing invoice send", "billing invoice explain", "billing usage explain", "billing invoice regenerate-pdf",
    }
)  # fmt: skip
LOOKS = frozenset(
    "aggregation-status archives audit calculate-overage check check-duplicates collector-status compare count decline-reason deliveries"
    " doctor download errors events explain failures find-gaps find-inconsistencies find-orphaned get health intents journal last-reset"
    " list list-endpoints list-metrics list-rates log logs metrics missing-indexes next-reset operations pdf-status performance ping"
    " preview preview-change prorations queue-status rate-limits requests retrieve revenue show simulate-change slow slow-queries"
    " snapshots status test-connection test-enforce test-key test-signature timeline totals track trial-eligibility upcoming uptime"
    " verify-queue-empty".split()
)
"""Last words of commands that change nothing, where they are not audited; those that begin with `show-` are so too."""


def changing(command: str) -> str:
    """The role that a command takes which changes something."""
    if f"{command} ".startswith(OWNERS):
        return "owner"
    return "support" if command in SUPPORT else "operator"


def in_terminal(command: str, audited: bool) -> str:
    """The role that any command takes; one that is not known to look changes something."""
    word = command.split()[-1]
    return "read-only" if not audited and (word in LOOKS or word.startswith("show-")) else changing(command)


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
