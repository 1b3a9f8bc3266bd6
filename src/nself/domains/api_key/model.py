"""API keys, and how they are refused."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, NamedTuple

import msgspec

from nself.core.errors import Denied, NotFound


class Unauthorized(Denied):
    """HTTP 401; the service adds `WWW-Authenticate: Bearer`."""

    status: ClassVar[int] = 401
    type: ClassVar[str] = "authentication_error"
    code = "invalid_api_key"
    text = "Invalid API key: {why}"
    hints = ("nself billing api-key list",)


class InsufficientPermissions(Denied):
    code = "insufficient_permissions"
    text = "The API key {key_id} lacks the scope {scope}"
    hints = ("nself billing api-key list", "nself billing api-key create --name app --scopes {scope}")


class TooManyRequests(Denied):
    """HTTP 429; the service adds `Retry-After`, in whole seconds."""

    status: ClassVar[int] = 429
    type: ClassVar[str] = "rate_limit_error"
    code = "rate_limit"
    text = "The API key {key_id} may make {rate} requests a second ({setting}); try again in {seconds} s"
    hints = ("nself env get {setting}",)


class NoSuchApiKey(NotFound):
    code, param = "no_such_api_key", "id"
    text = "No such API key: {key_id}"
    hints = ("nself billing api-key list --all",)


class ApiKey(NamedTuple):
    """Who calls: proven, of this mode, not revoked."""

    key_id: str
    name: str
    livemode: bool
    scopes: frozenset[str]
    user: str | None = None
    """Whose objects it is confined to; None for everybody's."""


class Token(NamedTuple):
    """The three parts of what a client sends."""

    livemode: bool
    key_id: str
    secret: str


class StoredKey(NamedTuple):
    """A row of billing_api_keys."""

    key_id: str
    name: str
    livemode: bool
    scopes: list[str]
    user: str | None
    secret_hash: bytes
    last_used_at: datetime | None
    revoked_at: datetime | None


class CreatedApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `api-key create`: the only time that `key` is seen."""

    id: str
    name: str
    mode: str
    scopes: list[str]
    user: str | None
    key: str
    note: str = "shown only now: keep it where your program finds it"


class ListedApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `api-key list`."""

    id: str
    name: str
    mode: str
    scopes: list[str]
    user: str | None
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class RevokedApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `api-key revoke`."""

    id: str
    name: str
    revoked_at: datetime
