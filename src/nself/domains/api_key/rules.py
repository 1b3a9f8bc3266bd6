"""The form of keys, and what they may do."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from datetime import datetime, timedelta

from nself.core.errors import InvalidParameter
from nself.domains.api_key.model import ApiKey, InsufficientPermissions, StoredKey, Token, Unauthorized

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH, SECRET_LENGTH = 8, 32
ADMIN = "admin"
SCOPES = {
    "usage:write": "record usage",
    "usage:read": "read usage",
    "quota": "check, reserve, commit and release quota",
    "invoice:read": "read invoices",
    "invoice:write": "make, finalise, pay and void invoices",
    "subscription:read": "read subscriptions",
    "subscription:write": "create, change and cancel subscriptions",
    "payment:read": "read payment methods",
    "payment:write": "take and refund payments, attach payment methods",
    "metrics": "read /metrics from another machine",
    ADMIN: "everything",
}
TOKEN = re.compile(r"nsk_(test|live)_([0-9A-Za-z]{8})_([0-9A-Za-z]{32})")
BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
NO_SECRET = bytes(32)
USED_EVERY = timedelta(minutes=1)


def scopes(text: str) -> list[str]:
    """A comma separated list, each once, in the declared order. Raises InvalidParameter."""
    given = {part.strip() for part in text.split(",") if part.strip()}
    unknown = sorted(given - SCOPES.keys())
    if unknown or not given:
        what = f"No such scope: {', '.join(unknown)}" if unknown else "No scope given"
        raise InvalidParameter(f"{what} (there are {', '.join(SCOPES)})", "scopes")
    return [scope for scope in SCOPES if scope in given]


def name(text: str) -> str:
    """A key's name, blanks stripped. Raises InvalidParameter."""
    stripped = text.strip()
    if not stripped or len(stripped) > 100 or not stripped.isprintable():
        raise InvalidParameter("Invalid name: 1 to 100 printable characters are needed", "name")
    return stripped


def spell(token: Token) -> str:
    return f"nsk_{mode(token.livemode)}_{token.key_id}_{token.secret}"


def mode(livemode: bool) -> str:
    return "live" if livemode else "test"


def key_id(text: str) -> str:
    """The id of a key: `text` itself, or its part of a whole key that was pasted."""
    found = TOKEN.fullmatch(text)
    return found[2] if found else text


def read_header(header: str | None) -> Token:
    """The value of `Authorization`. Raises Unauthorized, which never repeats it."""
    if not header:
        raise Unauthorized(why="the header `Authorization: Bearer nsk_...` is missing")
    bearer = BEARER.fullmatch(header)
    found = TOKEN.fullmatch(bearer[1]) if bearer else None
    if not found:
        raise Unauthorized(why="the header is not of the form `Authorization: Bearer nsk_...`")
    return Token(found[1] == "live", found[2], found[3])


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def prove(token: Token, stored: StoredKey | None, live: bool) -> ApiKey:
    """The key behind `token`. Raises Unauthorized; takes as long for an unknown id as for a wrong secret."""
    proven = hmac.compare_digest(stored.secret_hash if stored else NO_SECRET, digest(token.secret))
    if token.livemode != live:
        raise Unauthorized(why=f"this is a {mode(token.livemode)} key and the service works in {mode(live)} mode")
    if stored is None or not proven or stored.livemode != token.livemode:
        raise Unauthorized(why="there is no such key")
    if stored.revoked_at is not None:
        raise Unauthorized(why=f"the key {stored.key_id} was revoked")
    return ApiKey(stored.key_id, stored.name, stored.livemode, frozenset(stored.scopes), stored.user)


def permit(key: ApiKey, scope: str) -> None:
    """Raises InsufficientPermissions."""
    assert scope in SCOPES, scope
    if scope not in key.scopes and ADMIN not in key.scopes:
        raise InsufficientPermissions(key_id=key.key_id, scope=scope)


class Rates:
    """How often each key may ask: `rate` requests at once, and one more each 1/rate seconds (GCRA). Thread-safe."""

    def __init__(self, most: int = 10_000) -> None:
        self.most, self.lock = most, threading.Lock()
        self.due: dict[str, float] = {}
        """Key id -> when it would have been through with what it asked, asking evenly, in monotonic seconds."""

    def wait(self, key_id: str, rate: int, now: float) -> float:
        """Seconds until a request of the key is allowed; 0 where it is, which is counted."""
        with self.lock:
            due = max(self.due.get(key_id, now), now)
            early = due + 1 / rate - now - 1
            if early > 1e-9:
                return early
            if len(self.due) >= self.most:  # who is forgotten may ask at once
                self.due.clear()
            self.due[key_id] = due + 1 / rate
            return 0


def use_is_due(last_used_at: datetime | None, at: datetime) -> bool:
    """Whether the use is worth a write."""
    return last_used_at is None or at - last_used_at >= USED_EVERY
