"""Keys of the HTTP API: made, listed, revoked, and asked for on each request."""

from __future__ import annotations

import secrets
from datetime import datetime
from math import ceil

from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import Conflict
from nself.db.connect import Tx, unavailable
from nself.domains.api_key import rules, store
from nself.domains.api_key.inputs import CreateApiKey, ListApiKeys, RevokeApiKey
from nself.domains.api_key.model import (
    ApiKey,
    CreatedApiKey,
    ListedApiKey,
    NoSuchApiKey,
    RevokedApiKey,
    Token,
    TooManyRequests,
    Unauthorized,
)

MAX_DRAWS = 5
CACHE_SECONDS = 3.0
"""A revoked key may live so long in another process; five seconds are promised."""
AWAY_SECONDS = 86_400.0
"""While the database is away nobody can revoke a key there: who was proven within a day is taken at his word."""
CACHE_SIZE = 10_000
Place = tuple[str, bool, bytes]
_proven: dict[Place, tuple[float, ApiKey]] = {}
_rates = rules.Rates()


def _draw(length: int) -> str:
    return "".join(secrets.choice(rules.ALPHABET) for _ in range(length))


def create(app: App, given: CreateApiKey) -> CreatedApiKey:
    """A new key of this project's mode. Raises InvalidParameter."""
    name, scopes = rules.name(given.name), rules.scopes(given.scopes)
    for _ in range(MAX_DRAWS):
        token = Token(app.settings.live, _draw(rules.ID_LENGTH), _draw(rules.SECRET_LENGTH))
        with app.db.transaction() as tx:
            added = store.add(tx, token, name, scopes, given.user, rules.digest(token.secret), app.clock())
        if added:
            mode = rules.mode(token.livemode)
            return CreatedApiKey(
                id=token.key_id, name=name, mode=mode, scopes=scopes, user=given.user, key=rules.spell(token)
            )
    raise Conflict(detail=f"No free id was found in {MAX_DRAWS} draws")


def list_keys(app: App, given: ListApiKeys) -> list[ListedApiKey]:
    """Keys of both modes."""
    with app.db.reading() as tx:
        return store.list_keys(tx, given.all, given.after, given.limit)


def revoke(app: App, given: RevokeApiKey) -> RevokedApiKey:
    """Again and again is the same as once. Raises NoSuchApiKey."""
    key_id = rules.key_id(given.id)
    with app.db.transaction() as tx:
        done = store.revoke(tx, key_id, app.clock())
    if done is None:
        raise NoSuchApiKey(key_id=key_id)
    _proven.clear()
    return done


def authenticate(tx: Tx, header: str | None, scope: str, *, live: bool, at: datetime) -> ApiKey:
    """The caller behind an `Authorization` header, if it may do `scope`.

    Raises Unauthorized (401), InsufficientPermissions (403).
    """
    token = rules.read_header(header)
    stored = store.find(tx, token.key_id)
    key = rules.prove(token, stored, live)
    rules.permit(key, scope)
    if stored and rules.use_is_due(stored.last_used_at, at):
        store.mark_used(tx, key.key_id, at)
    return key


def allow(app: App, header: str | None, scope: str) -> ApiKey:
    """`authenticate` in its own frame, remembered for some seconds; while the database is away for AWAY_SECONDS.

    Raises as it and `app.db` do.
    """
    known = remembered(app, header, scope)
    if known:
        return known
    spot, started = place(app, header), monotonic()
    try:
        with app.db.reading() as tx:
            key = authenticate(tx, header, scope, live=app.settings.live, at=app.clock())
    except Unauthorized:
        _proven.pop(spot, None)
        raise
    except Exception as error:
        known = remembered_at(spot, scope, AWAY_SECONDS) if unavailable(error) else None
        if not known:
            raise
        return known
    _remember(app, spot, started, key)
    return key


def _remember(app: App, spot: Place, started: float, key: ApiKey) -> None:
    """From `started` on for CACHE_SECONDS, or for BILLING_CACHE_TTL where that is less."""
    seconds = app.settings.seconds("BILLING_CACHE_TTL") if app.settings.flag("BILLING_CACHE_ENABLED") else 0
    if not seconds:
        return
    if len(_proven) >= CACHE_SIZE:
        _proven.clear()
    _proven[spot] = (started - max(0.0, CACHE_SECONDS - seconds), key)


def remembered(app: App, header: str | None, scope: str, seconds: float = CACHE_SECONDS) -> ApiKey | None:
    """The caller, where it was proven so recently: no I/O once `app.db` is open. Raises Unauthorized, InsufficientPermissions."""
    return remembered_at(place(app, header), scope, seconds)


def remembered_at(place: Place, scope: str, seconds: float = CACHE_SECONDS) -> ApiKey | None:
    """`remembered` for a header whose place is known. Raises InsufficientPermissions."""
    proven, key = _proven.get(place, (0.0, None))
    if key is None or monotonic() >= proven + seconds:
        return None
    rules.permit(key, scope)
    return key


def place(app: App, header: str | None) -> Place:
    """Under what a proven `Authorization` header is remembered. Raises Unauthorized."""
    token = rules.read_header(header)
    return app.db.conninfo, app.settings.live, rules.digest(rules.spell(token))


def charge(key: ApiKey, setting: str, rate: int) -> None:
    """Count a request against the `rate` requests a second that `setting` gives each key; 0 is no limit. Raises TooManyRequests."""
    wait = _rates.wait(f"{setting} {key.key_id}", rate, monotonic()) if rate else 0
    if wait:
        raise TooManyRequests(key_id=key.key_id, rate=rate, setting=setting, seconds=ceil(wait))
