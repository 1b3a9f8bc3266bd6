"""`POST /api/v1/usage`: one event, an array, NDJSON or CloudEvents; answered after the commit, many requests in one."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property, partial

import msgspec

from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.usage.model import Intake
from nself.domains.usage.service import buffer, record
from nself.domains.usage.service.record import Given, Written
from nself.http import reading
from nself.http.closable import Closable
from nself.http.hot import Coalescer, Headers, Reply, Told, Way, resolve

INGEST_PATH = "/api/v1/usage"
COMMITS = 2
"""Commits under way at once."""
GROUP_EVENTS = 10_000
NOTHING = Intake(accepted=0, duplicate=0, rejected=[])
_encode = msgspec.json.Encoder().encode


class Ingest(Closable):
    """The ingest route, and the group commit behind it."""

    scope = "usage:write"

    def __init__(self, app: App) -> None:
        super().__init__(app, INGEST_PATH)
        self.commits: Coalescer[reading.Sent, Intake] = Coalescer(
            partial(_commit, app), at_once=COMMITS, most=GROUP_EVENTS, units=lambda sent: len(sent.events)
        )

    @cached_property
    def max_events(self) -> int:
        return self.app.settings.integer("USAGE_MAX_BATCH")

    def way(self, headers: Headers) -> Way:
        return partial(self._begin, reading.reader(headers))

    def _begin(self, read: Callable[[bytes], reading.Sent], body: bytes, told: Told) -> None:
        """Raises NotJson, BatchTooLarge."""
        sent = read(body)
        if len(sent.events) > self.max_events:
            record.require_batch_size(self.app, len(sent.events))
        self.submit(sent.events, sent.written, partial(_reply, told))

    def prove(self, header: str | None) -> None:
        try:
            super().prove(header)
        except DatabaseUnavailable as error:  # nobody can be proven now; how many events were sent was not read
            buffer.refuse(self.app, error, "http", 0)
            raise

    async def commit(self, events: Sequence[Given], written: Written | None = None) -> Intake:
        """What became of `events`, after they are durable. Raises DatabaseUnavailable."""
        future: asyncio.Future[Intake] = asyncio.get_running_loop().create_future()
        self.submit(events, written, partial(resolve, future))
        return await future

    def submit(
        self, events: Sequence[Given], written: Written | None, done: Callable[[Intake | Exception], None]
    ) -> None:
        """Have `events` committed and `done` called in the event loop with what became of them, or why nothing did."""
        if events:
            self.commits.submit(reading.Sent(events, written), done)
        else:
            done(NOTHING)


def _reply(told: Told, result: Intake | Exception) -> None:
    told(result if isinstance(result, Exception) else Reply(200, _encode(result)))


def _commit(app: App, group: list[reading.Sent]) -> list[Intake | Exception]:
    """One transaction for all."""
    outcome, found, start = _ingest(app, group), list[Intake | Exception](), 0
    for sent in group:
        stop = start + len(sent.events)
        found.append(outcome.part(start, stop))
        start = stop
    return found


def _ingest(app: App, group: list[reading.Sent]) -> record.Outcome:
    events = [event for sent in group for event in sent.events]
    if not any(sent.written for sent in group):
        return record.ingest(app, events, "http")
    starts = [0]
    for sent in group:
        starts.append(starts[-1] + len(sent.events))

    def written(at: int) -> bytes | msgspec.Raw | Given:
        place = bisect_right(starts, at) - 1
        sent, at = group[place], at - starts[place]
        return sent.written(at) if sent.written else sent.events[at]

    return record.ingest(app, events, "http", written)
