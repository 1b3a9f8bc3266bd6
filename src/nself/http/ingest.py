"""`POST /api/v1/usage`: one event, an array, NDJSON or CloudEvents; answered after the commit, many requests in one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from itertools import accumulate

import msgspec

from nself.app import App
from nself.db.server import DatabaseUnavailable
from nself.domains.access.rules import require_own
from nself.domains.api_key.model import ApiKey
from nself.domains.usage.model import Intake
from nself.domains.usage.service import buffer, record
from nself.domains.usage.service.record import Given
from nself.http import reading
from nself.http.closable import Closable
from nself.http.hot import Coalescer, Headers, Reply, Told, Way

INGEST_PATH = "/api/v1/usage"
COMMITS = 3
"""Commits under way at once."""
GROUP_EVENTS = 10_000
ENOUGH_EVENTS = 1000
"""For which a second commit is begun."""
_encode = msgspec.json.Encoder().encode
NOTHING = Reply(200, _encode(Intake(accepted=0, duplicate=0, rejected=[])))


class Ingest(Closable):
    """The ingest route, and the group commit behind it."""

    scope = "usage:write"

    def __init__(self, app: App) -> None:
        super().__init__(app, INGEST_PATH)
        self.commits: Coalescer[reading.Sent, Reply] = Coalescer(
            partial(_commit, app),
            at_once=COMMITS,
            most=GROUP_EVENTS,
            units=lambda sent: len(sent.events),
            enough=ENOUGH_EVENTS,
            route=INGEST_PATH,
        )

    @cached_property
    def max_events(self) -> int:
        return self.app.settings.integer("USAGE_MAX_BATCH")

    def way(self, headers: Headers) -> Way:
        return partial(self._begin, reading.reader(headers))

    def _begin(self, read: Callable[[bytes], reading.Sent], body: bytes, told: Told, caller: ApiKey) -> None:
        """Raises NotJson, BatchTooLarge, NotTheirs."""
        sent = read(body)
        count = len(sent.events)
        if not count:
            return told(NOTHING)
        if count > self.max_events:
            record.require_batch_size(self.app, count)
        if caller.user is not None:
            for user in reading.users(sent.events):
                require_own(caller, "user", user)
        return self.commits.submit(sent, told)

    def prove(self, header: str | None) -> ApiKey:
        try:
            return super().prove(header)
        except DatabaseUnavailable as error:  # nobody can be proven now; how many events were sent was not read
            buffer.refuse(self.app, error, "http", 0)
            raise


def _commit(app: App, group: list[reading.Sent]) -> list[Reply]:
    """One transaction for all. Raises DatabaseUnavailable."""
    outcome, found, start = _ingest(app, group), list[Reply](), 0
    if outcome.is_plain:
        return [_accepted(len(sent.events)) for sent in group]
    for sent in group:
        stop = start + len(sent.events)
        found.append(Reply(200, _encode(outcome.part(start, stop))))
        start = stop
    return found


@lru_cache
def _accepted(count: int) -> Reply:
    return Reply(200, _encode(Intake(accepted=count, duplicate=0, rejected=[])))


def _ingest(app: App, group: list[reading.Sent]) -> record.Outcome:
    starts = list[int]()

    def written(at: int) -> Given:
        if not starts:
            starts.extend(accumulate((len(sent.events) for sent in group), initial=0))
        place = bisect_right(starts, at) - 1
        return group[place].written(at - starts[place])

    return record.ingest(app, [event for sent in group for event in sent.events], "http", written)
