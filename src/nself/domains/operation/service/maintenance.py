"""While it lasts the API answers 503 with a message: a file in the project says so, to be seen by every process."""

from __future__ import annotations

from functools import lru_cache

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.domains.operation import rules, store
from nself.domains.operation.inputs import BeginMaintenance, EndMaintenance, ShowMaintenance
from nself.domains.operation.model import Maintenance, MaintenanceStatus, UnderMaintenance

LOOK_SECONDS = 0.2
"""How old what a process knows of it may be: a look costs as much as a tenth of a small request."""


class Gate:
    """What every request passes."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._next, self._found = 0.0, None

    _found: Maintenance | None

    def require_open(self) -> None:
        """Raises UnderMaintenance."""
        now = monotonic()
        if now >= self._next:
            self._found, self._next = store.maintenance(self.app.project), now + LOOK_SECONDS
        if self._found:
            self._refuse(self._found)

    def _refuse(self, found: Maintenance) -> None:
        now = self.app.clock()
        if rules.lasting(found, now):
            left = (found.until - now).total_seconds() if found.until else None
            raise UnderMaintenance(found.message, left)


@lru_cache(maxsize=8)
def gate(app: App) -> Gate:
    """One an app: all routes close and open at once."""
    return Gate(app)


def current(app: App) -> Maintenance | None:
    return rules.lasting(store.maintenance(app.project), app.clock())


def on(app: App, given: BeginMaintenance) -> MaintenanceStatus:
    """Also where it is on: with another message or end. Raises InvalidParameter, StateUnwritable."""
    now = app.clock()
    found = Maintenance(
        message=given.message,
        since=now,
        by=app.operator(),
        until=rules.ends(given.until, now, app.timezone) if given.until else None,
    )
    app.ensure_project()
    store.keep(app.project, found)
    log.warning("maintenance_on", by=found.by, text=found.message, until=found.until)
    return _told(found, "the API answers 503; webhooks are still taken. It ends with: nself maintenance off")


def off(app: App, given: EndMaintenance) -> MaintenanceStatus:
    """Raises StateUnwritable."""
    before = current(app)
    store.forget(app.project)
    if before:
        log.warning("maintenance_off", by=app.operator(), since=before.since)
    return _told(None, "the API answers again" if before else "it was off already")


def status(app: App, given: ShowMaintenance) -> MaintenanceStatus:
    """What lasts at the moment."""
    found = current(app)
    return _told(found, "it ends with: nself maintenance off" if found else "the API answers")


def _told(found: Maintenance | None, note: str) -> MaintenanceStatus:
    return MaintenanceStatus(
        maintenance="on" if found else "off",
        message=found.message if found else None,
        since=found.since if found else None,
        until=found.until if found else None,
        by=found.by if found else None,
        note=note,
    )
