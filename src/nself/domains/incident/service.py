"""Incidents: opened, noted, closed, and shown with all that was done about them.

What belongs to one is told by time alone: it was done between its beginning and its end.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.db.connect import Tx
from nself.domains.incident import store
from nself.domains.incident.inputs import CloseIncident, CreateIncident, ListIncidents, NoteIncident, ShowIncident
from nself.domains.incident.model import Incident, IncidentClosed, Moment, NoSuchIncident, ShownIncident
from nself.domains.trail import service as trail

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def create(app: App, given: CreateIncident) -> Incident:
    """Raises InvalidParameter."""
    now = app.clock()
    began = period.since(given.began, now, app.timezone, "began")
    if began > now:
        raise InvalidParameter("Invalid began: it is in the future", "began")
    made = Incident(
        id=f"inc_{''.join(secrets.choice(ALPHABET) for _ in range(10))}",
        type=given.type,
        severity=given.severity,
        state="open",
        description=given.description,
        began_at=began,
        opened_at=now,
        opened_by=app.operator(),
        closed_at=None,
        closed_by=None,
        resolution=None,
    )
    app.db.transact(lambda tx: store.add(tx, made))
    log.warning("incident_opened", id=made.id, type=made.type, severity=made.severity)
    return made


def list_incidents(app: App, given: ListIncidents) -> list[Incident]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.incidents(tx, given.state, given.limit)


def newest_open(tx: Tx) -> str | None:
    """Step: the id of the one that was opened last and is open."""
    found = store.incidents(tx, "open", 1)
    return found[0].id if found else None


def require(tx: Tx, id: str) -> Incident:
    """Step. Raises NoSuchIncident."""
    found = store.find(tx, id)
    if found is None:
        raise NoSuchIncident(incident=id[:100])
    return found


def show(app: App, given: ShowIncident) -> ShownIncident:
    """Raises NoSuchIncident."""
    now = app.clock()
    trail.chain(app, [])
    with app.db.reading() as tx:
        found = require(tx, given.incident)
        until = found.closed_at or now + timedelta(seconds=1)
        moments = store.timeline(tx, found.id, found.began_at, until, app.settings.live)
        moments += [
            Moment(at=one.at, what="command", actor=one.actor, detail=one.command, outcome=one.outcome)
            for one in trail.deeds(tx, found.began_at, until, given.limit)
        ]
    moments.append(_opened(found))
    moments.sort(key=lambda one: one.at)
    shown = {name: getattr(found, name) for name in Incident.__struct_fields__}
    return ShownIncident(**shown, timeline=moments[: given.limit])


def _opened(found: Incident) -> Moment:
    return Moment(at=found.opened_at, what="opened", actor=found.opened_by, detail=found.description, outcome="")


def note(app: App, given: NoteIncident) -> Incident:
    """Also on a closed one: who follows up adds what was learned. Raises NoSuchIncident."""

    def work(tx: Tx) -> Incident:
        found = require(tx, given.incident)
        store.note(tx, found.id, app.clock(), app.operator(), given.text)
        return found

    return app.db.transact(work)


def close(app: App, given: CloseIncident) -> Incident:
    """Raises NoSuchIncident, IncidentClosed."""

    def work(tx: Tx) -> Incident:
        found = require(tx, given.incident)
        if not store.close(tx, found.id, app.clock(), app.operator(), given.resolution):
            raise IncidentClosed(incident=found.id, closed_at=f"{found.closed_at:%Y-%m-%dT%H:%M:%SZ}")
        return require(tx, given.incident)

    made = app.db.transact(work)
    log.info("incident_closed", id=made.id)
    return made
