"""Nouns and errors of incidents."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.core.errors import Conflict, NotFound


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """`began_at`: what was done since then belongs to it."""

    id: str
    type: str
    severity: str
    state: str
    description: str
    began_at: datetime
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str | None
    resolution: str | None


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an incident's timeline. `what`: command, note, mails, refunds."""

    at: datetime
    what: str
    actor: str
    detail: str
    outcome: str


class ShownIncident(Incident, frozen=True, kw_only=True):
    """Result of `incident show`; its timeline is oldest first."""

    timeline: list[Moment]


class NoSuchIncident(NotFound):
    code, param = "no_such_incident", "incident"
    text = "No such incident: {incident}"
    hints = ("nself billing incident list",)


class IncidentClosed(Conflict):
    code, param = "incident_closed", "incident"
    text = "Incident {incident} is closed since {closed_at}"
    hints = ("nself billing incident show {incident}",)
