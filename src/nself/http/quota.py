"""`POST /api/v1/quota/check|reserve|commit|release`: each is answered by itself, all that wait are decided together."""

from __future__ import annotations

from functools import partial
from math import ceil

import msgspec

from nself.app import App
from nself.domains.quota import rules
from nself.domains.quota.inputs import CheckQuota, CommitQuota, ReleaseQuota, ReserveQuota
from nself.domains.quota.model import Ask, Decision
from nself.domains.quota.service.ask import as_ask
from nself.domains.quota.service.journal import decide_or_fail
from nself.http import answer
from nself.http.closable import Closable
from nself.http.hot import Coalescer, Headers, Hot, Reply, Told, Way

GROUP = 2_000
DECIDERS = 2
"""Groups under way at once."""
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
    decisions: Coalescer[Ask, Decision] = Coalescer(
        partial(_decide, app), at_once=DECIDERS, most=GROUP, units=lambda ask: 1
    )
    return [QuotaRoute(app, path, kind, decisions) for path, kind in INPUTS.items()]


def _decide(app: App, asks: list[Ask]) -> list[Decision | Exception]:
    return [*decide_or_fail(app, asks)]


class QuotaRoute(Closable):
    scope = "quota"

    def __init__(self, app: App, path: str, kind: type[Input], decisions: Coalescer[Ask, Decision]) -> None:
        super().__init__(app, path)
        self.kind, self.decisions = kind, decisions
        self.decode = msgspec.json.Decoder(kind).decode

    def way(self, headers: Headers) -> Way:
        return self._begin

    def _begin(self, body: bytes, told: Told) -> None:
        """Raises NotJson, what is wrong with the input, NoSuchReservation."""
        self.decisions.submit(as_ask(self.read(body)), partial(self._reply, told))

    def read(self, body: bytes) -> Input:
        """Raises NotJson, InvalidParameter and what else is wrong with an input."""
        try:
            given = self.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # in two steps, to tell what is wrong
            return answer.as_input(answer.as_json(body), self.kind, strict=True)
        return answer.without_nul(given) if b"\\u0000" in body else given

    def _reply(self, told: Told, found: Decision | Exception) -> None:
        if isinstance(found, Exception):
            return told(found)
        return told(Reply(200 if found.allowed else 429, _encode(found), self._limits(found)))

    def _limits(self, found: Decision) -> tuple[tuple[bytes, bytes], ...]:
        """The headers that clients know; Reset in seconds since 1970. Retry-After where it was refused."""
        resets = ceil(found.resets_at.timestamp())
        headers = [(b"x-ratelimit-reset", b"%d" % resets)]
        if found.limit >= 0:
            headers += [
                (b"x-ratelimit-limit", b"%d" % found.limit),
                (b"x-ratelimit-remaining", b"%d" % found.remaining),
            ]
        if not found.allowed:
            left = ceil((found.resets_at - self.app.clock()).total_seconds())
            headers.append((b"retry-after", b"%d" % min(rules.MAX_RETRY_AFTER, max(1, left))))
        return tuple(headers)
