"""What is decided in one statement, without a second look: the ordinary request, which has room (docs/decisions/0031).

What it does not answer was not touched and is decided as a group (decide.py), which knows every case.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import get_args
from zoneinfo import ZoneInfo

from nself.app import App
from nself.core.errors import BillingError
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import formulas
from nself.domains.catalog import service as catalog
from nself.domains.quota import rules, store
from nself.domains.quota.model import UNLIMITED, Ask, Decision, Key, Policy, Window
from nself.domains.quota.store import Frame, Ready, Wanted

Found = dict[int, Decision | BillingError]
"""By place in the group."""


def reserve(app: App, tx: Tx, asks: Sequence[Ask], now: datetime, rule: Policy) -> Found:
    """Step: grant what can be at once. The caller holds the locks of the users' shards."""
    frame, found = _frame(app, now, rule), Found()
    wanted, _ = _wanted(app, asks, frame, _repeated(tx, asks)) if rule.enforced else ([], [])
    if wanted:
        expires_at = now + timedelta(seconds=rule.lease)
        _tell(found, asks, wanted, store.reserve_ready(tx, wanted, asks, frame, expires_at))
    return found


def _repeated(tx: Tx, asks: Sequence[Ask]) -> set[int]:
    """Places of reserves whose key was used before, in this group or earlier: nothing is granted to them."""
    places = [at for at, ask in enumerate(asks) if ask.key]
    if not places:
        return set()
    made = store.reservations(tx, [asks[at].user for at in places], [asks[at].id for at in places])
    seen, found = {Key(one.user, one.id) for one in made}, set[int]()
    for at in places:
        name = Key(asks[at].user, asks[at].id)
        if name in seen:
            found.add(at)
        seen.add(name)
    return found


def check(app: App, asks: Sequence[Ask], now: datetime, rule: Policy) -> Found:
    """Checks that can be answered at once: nothing is locked and nothing written. Raises DatabaseUnavailable."""
    frame, found = _frame(app, now, rule), Found()
    _, wanted = _wanted(app, asks, frame) if rule.enforced else ([], [])
    if wanted:
        with app.db.reading() as tx:
            _tell(found, asks, wanted, store.check_ready(tx, wanted, frame))
    return found


def _frame(app: App, now: datetime, rule: Policy) -> Frame:
    return Frame(now, _windows(now.replace(second=0, microsecond=0), app.timezone), rule.thresholds)


@lru_cache(maxsize=8)
def _windows(minute: datetime, zone: ZoneInfo) -> dict[Window, Period]:
    """Each begins with a minute."""
    return {unit: rules.window(minute, unit, zone) for unit in get_args(Window)}


def _wanted(
    app: App, asks: Sequence[Ask], frame: Frame, repeated: Collection[int] = ()
) -> tuple[list[Wanted], list[Wanted]]:
    """Reserves and checks by limit; without those of users whose holds end in this group, which comes first, and `repeated`."""
    reserves: dict[tuple[str, str], Wanted] = {}
    checks: dict[tuple[str, str], Wanted] = {}
    ending = {ask.user for ask in asks if ask.kind in ("commit", "release")}
    known = {metric: _aggregation(app, metric, frame) for metric in {ask.metric for ask in asks}}
    for at, ask in enumerate(asks):
        aggregation = known[ask.metric]
        if aggregation is None or ask.user in ending or at in repeated:
            continue
        kind, key = reserves if ask.kind == "reserve" else checks, (ask.user, ask.metric)
        one = kind.get(key)
        if one is None:
            one = kind[key] = Wanted(Key(*key), aggregation, [], [])
        one.places.append(at)
        one.each.append(rules.amount(aggregation, ask.value or 0))
    both = reserves.keys() & checks.keys()  # in the order of the requests
    return (
        [one for key, one in reserves.items() if key not in both and sum(one.each) <= rules.MAX_TAKEN],
        [one for key, one in checks.items() if key not in both],
    )


def _aggregation(app: App, metric: str, frame: Frame) -> str | None:
    """How `metric` is counted, where that is the same in all windows and grows by what is used."""
    metered = catalog.metered(app).get(metric)
    starts = {span.start for span in frame.windows.values()}
    ways = {formulas.shown(metered, start, app.timezone).aggregation for start in starts} if metered else set[str]()
    return ways.pop() if len(ways) == 1 and ways <= {*rules.GROWING} else None


def _tell(found: Found, asks: Sequence[Ask], wanted: Sequence[Wanted], granted: Sequence[Ready]) -> None:
    """Each request with what those before it took."""
    for one in granted:
        given = wanted[one.n - 1]
        share, word, held = rules.percent(one.limit, one.used), rules.state_word(one.limit, one.used), one.held
        note, reservation = rules.NO_SUBSCRIPTION if one.period == "billing" else "", None
        for at, amount in zip(given.places, given.each, strict=True):
            ask = asks[at]
            if ask.kind == "reserve":
                held, reservation = held + amount, rules.spell(ask.user, ask.id)
            found[at] = Decision(
                user=ask.user,
                metric=ask.metric,
                allowed=True,
                limit=one.limit,
                used=one.used,
                held=held,
                remaining=UNLIMITED if one.limit == UNLIMITED else one.limit - one.used - held,
                percent=share,
                state=word,
                mode=one.mode,
                period=one.period,
                source=one.source,
                resets_at=one.resets_at,
                note=note,
                reservation=reservation,
            )
