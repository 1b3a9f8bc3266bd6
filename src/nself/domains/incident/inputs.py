"""What incidents take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Incident = Annotated[str, Meta(description="Its id (inc_…).", extra={"positional": True, "metavar": "INCIDENT"})]


class CreateIncident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: Annotated[
        str, Meta(description="A word of your own: overcharge, breach, outage.", pattern=r"^[A-Za-z0-9_.-]{1,50}$")
    ]
    severity: Annotated[Literal["info", "warning", "critical"], Meta(description="How bad it is.")]
    description: Annotated[str, Meta(description="What happened.", min_length=1, max_length=2000)]
    began: Annotated[
        str,
        Meta(description="When it began: 24h, a date or a time. What was done since then belongs to it."),
    ] = "24h"


class ListIncidents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Annotated[Literal["open", "closed"] | None, Meta(description="Only those.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class ShowIncident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    incident: Incident
    limit: Annotated[int, Meta(description="Most rows of its timeline.", ge=1, le=10_000)] = 1000


class NoteIncident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    incident: Incident
    text: Annotated[
        str, Meta(description="The note.", min_length=1, max_length=2000, extra={"positional": True, "metavar": "TEXT"})
    ]


class CloseIncident(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    incident: Incident
    resolution: Annotated[str, Meta(description="How it ended.", max_length=2000)] = ""
