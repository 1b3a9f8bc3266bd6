"""Usage that is rejected for want of its user or its metric, as long as they are wanting."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from shlex import quote

from nself.app import App
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import NoSuchMetric
from nself.domains.customer import service as customer
from nself.domains.customer.model import NoSuchUser
from nself.domains.usage import rules, store
from nself.domains.usage.facts import RejectedLately
from nself.domains.usage.model import Unmet

LATELY = timedelta(hours=24)
MOST = 2_000
"""Rejected events that are looked at."""
TYPED = "cli"
"""A person who mistyped was told so at once."""
USER, METRIC = NoSuchUser.code, NoSuchMetric.code
MENDS = {
    USER: "nself billing customer create --user {name}",
    METRIC: "nself billing usage list-metrics",
}


def rejected_lately(app: App, tx: Tx) -> list[RejectedLately]:
    """Step: newest first, for other reasons than a missing user or metric, and not typed by a person."""
    found = store.rejected_lately(tx, None, app.clock() - LATELY, MOST)
    return [one for one in found if one.source != TYPED and one.code not in (USER, METRIC)]


def unmet(app: App) -> list[Unmet]:
    """What was rejected lately and would be again: its user or metric is still not there."""
    with app.db.reading() as tx:
        found = store.rejected_lately(tx, [USER, METRIC], app.clock() - LATELY, MOST)
    named = defaultdict[tuple[str, str], list[RejectedLately]](list)
    for one in found:
        told = rules.about(one.event)
        if told and one.source != TYPED:
            named[one.code, told[0] if one.code == USER else told[1]].append(one)
    there = {
        USER: customer.known_users(app, {name for code, name in named if code == USER}),
        METRIC: catalog.metric_file(app).metrics.keys(),
    }
    return [_unmet(code, name, some) for (code, name), some in named.items() if name and name not in there[code]]


def _unmet(code: str, name: str, some: Sequence[RejectedLately]) -> Unmet:
    newest = some[0]
    return Unmet(
        code=code, name=name, events=len(some), last_at=newest.rejected_at, source=newest.source,
        mend=MENDS[code].format(name=quote(name)),
    )  # fmt: skip
