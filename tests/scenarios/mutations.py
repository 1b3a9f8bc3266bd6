"""Breaks the product on purpose: does the convergence harness find it, and after how many histories?

Not part of any suite: `.venv/bin/python -m pytest -q -rP tests/scenarios/mutations.py`; the table is in docs/decisions/0021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from convergence import History, Stand
from histories import HISTORIES, TOUR
from hypothesis import HealthCheck, Phase, example, given, settings
from msgspec.structs import replace
from test_convergence import stand

from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import store as customers
from nself.domains.invoice import store as invoices
from nself.domains.mirror import service as mirror
from nself.domains.mirror import store as mirrored
from nself.domains.mirror.model import Picture
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox
from nself.domains.webhook import store
from nself.domains.webhook.service import process, recover, switches
from nself.domains.webhook.service import work as working

HISTORIES_AT_MOST = 100
Patch = pytest.MonkeyPatch
assert stand  # the fixture


def fetched_once_a_second(patch: Patch) -> None:
    """Two versions of an object in one second: the second fetch is spared."""
    known: dict[tuple[Any, ...], Picture] = {}
    fetch = mirror.fetch

    def spared(
        app: App, kind: str, id: str, source: str, cause: str | None = None, number: int | None = None
    ) -> Picture:
        second = int(app.clock().timestamp())
        found = known.setdefault((kind, id, second), fetch(app, kind, id, source, cause, number))
        return found._replace(number=mirror.draw(app) if number is None else number, source=source)

    patch.setattr(mirror, "fetch", spared)


def marked_before_it_is_stored(patch: Patch) -> None:
    """Two transactions: the mark, and then the state."""
    together, keep = process._together, working.Work._keep

    def marked(app: App, tx: Tx, group: list[working.Work]) -> list[working.Work]:
        with app.db.transaction() as first:
            store.finish_events(
                first,
                [(event.id, one.status, one.claimed_at, 0, 0) for one in group for event in one.events],
                app.clock(),
            )
        return together(app, tx, group)

    def marked_alone(self: working.Work, picture: Picture) -> None:
        with self.app.db.transaction() as first:
            store.finish_events(
                first, [(event.id, self.status, self.claimed_at, 0, 0) for event in self.events], self.app.clock()
            )
        keep(self, picture)

    patch.setattr(process, "_together", marked)
    patch.setattr(working.Work, "_keep", marked_alone)


def stale_pictures_are_stored(patch: Patch) -> None:
    """The number of the stored picture is not looked at, nor whether somebody took the object over: either alone does no harm."""
    on = switches.on
    patch.setattr(switches, "on", lambda app, name: name != "WEBHOOK_USE_LOCKS" and on(app, name))
    for queries, name in ((mirrored.SQL, "keep"), (customers.SQL, "upsert"), (invoices.SQL, "upsert")):
        text = queries.by_name[name]
        changed = text.replace(b"mirror.snapshot_number <= excluded.snapshot_number", b"true")
        assert changed != text, name
        patch.setitem(queries.by_name, name, changed)


def deletions_change_nothing(patch: Patch) -> None:
    """An object that is gone is taken for one that is as it was."""
    apply = mirror._apply
    patch.setattr(
        mirror,
        "_apply",
        lambda app, tx, many: (
            not (there := [one for one in many if not one.snapshot.get("deleted")]) or apply(app, tx, there)
        ),
    )


def lost_events_stay_lost(patch: Patch) -> None:
    """Nobody reads Stripe's list."""
    patch.setattr(recover, "_window", lambda app, live, poll, woken: recover.Recovered(read=0, missed=0, woken=woken))


def effects_are_named_after_what_told_of_them(patch: Patch) -> None:
    """One that is told of twice happens twice."""
    post = outbox.post

    def named(app: App, tx: Tx, notes: Sequence[Note], now: datetime) -> None:
        post(app, tx, [replace(one, once=f"{one.once} {mirror.draw(app)}") for one in notes], now)

    patch.setattr(outbox, "post", named)


def overtaken_pictures_are_dropped(patch: Patch) -> None:
    """One that arrives out of order counts as stored, and is no reason to fetch again."""
    apply = mirror._apply
    patch.setattr(mirror, "_apply", lambda app, tx, many: apply(app, tx, many) or True)


def the_wake_up_of_a_late_event_is_lost(patch: Patch) -> None:
    """What arrives while its object is being fetched does not make it due again."""
    forgetful = b"""
        update billing_webhook_objects set lease_until = null, next_at = null
        where object_id = any(%(object_ids)s::text[]) and %(wait)s::interval is not null"""
    patch.setitem(store.SQL.by_name, "release_objects", forgetful)


def numbers_are_drawn_after_the_fetch(patch: Patch) -> None:
    """So the older of two pictures may bear the higher number."""
    fetch = mirror.fetch

    def late(app: App, kind: str, id: str, source: str, cause: str | None = None, number: int | None = None) -> Picture:
        return fetch(app, kind, id, source, cause, number)._replace(number=mirror.draw(app))

    patch.setattr(mirror, "fetch", late)


BREAKS = [
    fetched_once_a_second, marked_before_it_is_stored, stale_pictures_are_stored, deletions_change_nothing,
    lost_events_stay_lost, effects_are_named_after_what_told_of_them, overtaken_pictures_are_dropped,
    the_wake_up_of_a_late_event_is_lost, numbers_are_drawn_after_the_fetch,
]  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS, ids=lambda one: one.__name__)
def test_it_is_found(stand: Stand, broken: Callable[[Patch], None], monkeypatch: Patch) -> None:
    lived = 0

    @settings(
        max_examples=HISTORIES_AT_MOST, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
        database=None, phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False,
    )  # fmt: skip
    @example(TOUR)
    @given(HISTORIES)
    def live(history: History) -> None:
        nonlocal lived
        lived += 1
        stand.live(history)

    broken(monkeypatch)
    with pytest.raises(Exception) as found:  # an AssertionError of the harness, or what the product broke at
        live()
    print(f"{broken.__name__}: history {lived}: {type(found.value).__name__}: {str(found.value).splitlines()[0][:150]}")
