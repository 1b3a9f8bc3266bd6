"""`POST /api/v1/quota/check|reserve|commit|release`: each is answered by itself, all that wait are decided together."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache, partial
from math import ceil

import msgspec

from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.domains.access.rules import require_own
from nself.domains.api_key.model import ApiKey
from nself.domains.quota import rules
from nself.domains.quota.inputs import CheckQuota, CommitQuota, ReleaseQuota, ReserveQuota
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.service.ask import as_ask
from nself.domains.quota.service.journal import decide_or_fail
from nself.http import answer
from nself.http.closable import Closable
from nself.http.hot import Coalescer, Headers, Hot, Reply, Told, Way, header

GROUP = 2_000
DECIDERS = 2
"""Groups under way at once."""
ENOUGH = 500
"""Requests for which a second group is begun."""
Input = CheckQuota | ReserveQuota | CommitQuota | ReleaseQuota
INPUTS: dict[str, type[Input]] = {
    "/api/v1/quota/check": CheckQuota,
    "/api/v1/quota/reserve": ReserveQuota,
    "/api/v1/quota/commit": CommitQuota,
    "/api/v1/quota/release": ReleaseQuota,
}
_encode = msgspec.json.Encoder().encode


def quota_routes(app: App) -> list[Hot]:
    """The four, with one queue."""
    decisions: Coalescer[Ask, Reply] = Coalescer(
        partial(_decide, app), at_once=DECIDERS, most=GROUP, units=lambda ask: 1, enough=ENOUGH, route="/api/v1/quota"
    )
    return [QuotaRoute(app, path, kind, decisions) for path, kind in INPUTS.items()]


def _decide(app: App, asks: list[Ask]) -> list[Reply | Exception]:
    now = app.clock()
    return [one if isinstance(one, Exception) else _reply(one, now) for one in decide_or_fail(app, asks)]


def _reply(found: Decision, now: datetime) -> Reply:
    return Reply(200 if found.allowed else 429, _encode(found), _limits(found, now))


def _limits(found: Decision, now: datetime) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that clients know; Reset in seconds since 1970. Retry-After where it was refused."""
    resets = (b"x-ratelimit-reset", _seconds(found.resets_at))
    if found.limit < 0:
        headers = (resets,)
    else:
        headers = (
            resets,
            (b"x-ratelimit-limit", b"%d" % found.limit),
            (b"x-ratelimit-remaining", b"%d" % found.remaining),
        )
    if found.allowed:
        return headers
    left = ceil((found.resets_at - now).total_seconds())
    return (*headers, (b"retry-after", b"%d" % min(rules.MAX_RETRY_AFTER, max(1, left))))


def _with_key(given: Input, key: str) -> Input:
    """Raises ExclusiveParameters, InvalidParameter."""
    if getattr(given, "key", None) not in (None, key):
        raise ExclusiveParameters("Idempotency-Key", "key")
    return answer.as_input({**msgspec.structs.asdict(given), "key": key}, type(given), strict=True)


@lru_cache
def _seconds(at: datetime) -> bytes:
    return b"%d" % ceil(at.timestamp())


class QuotaRoute(Closable):
    scope = "quota"

    def __init__(self, app: App, path: str, kind: type[Input], decisions: Coalescer[Ask, Reply]) -> None:
        super().__init__(app, path)
        self.kind, self.decisions = kind, decisions
        self.decode = msgspec.json.Decoder(kind).decode

    def key(self, headers: Headers) -> str | None:
        """Of the header `Idempotency-Key`, which says the same as the field `key` of a reserve."""
        return header(headers, b"idempotency-key") if self.kind is ReserveQuota else None

    def recurs(self, headers: Headers) -> bool:
        return self.key(headers) is None

    def way(self, headers: Headers) -> Way:
        key = self.key(headers)
        return self._begin if key is None else partial(self._begin, key=key)

    def _begin(self, body: bytes, told: Told, caller: ApiKey, key: str | None = None) -> None:
        """Raises NotJson, what is wrong with the input, NoSuchReservation, NotTheirs."""
        given = self.read(body)
        ask = as_ask(given if key is None else _with_key(given, key))
        if caller.user is not None:
            require_own(caller, "user", ask.user)
        self.decisions.submit(ask, told)

    def read(self, body: bytes) -> Input:
        """Raises NotJson, InvalidParameter and what else is wrong with an input."""
        try:
            given = self.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # in two steps, to tell what is wrong
            return answer.as_input(answer.as_json(body), self.kind, strict=True)
        return answer.without_nul(given) if b"\\u0000" in body else given
