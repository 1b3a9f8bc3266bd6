"""Nouns of the mirror: Stripe's objects as they were last seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from nself.core.errors import Conflict

Snapshot = dict[str, Any]


class Unstorable(Conflict):
    """What Stripe answered breaks a rule of a table."""

    code, guide = "object_unstorable", "7.3"
    text = "The {kind} {id} as Stripe has it cannot be stored here: {detail}"
    hints = ("nself billing webhook events --object {id}", "nself billing reconcile show-diff", "nself db status")


class StoredInOtherMode(Conflict):
    """A picture of one mode never replaces or ends a row of the other."""

    code, guide = "mode_mismatch", "7.3"
    text = "The {kind} {id} is stored here as one of {other} mode, and STRIPE_MODE is {mode}: nothing was changed"
    hints = ("nself billing stripe show-config",)


class Picture(NamedTuple):
    """An object as Stripe had it after `number` was drawn. `source` says what made us look: `webhook evt_…`, `intent`, `sync 12`."""

    snapshot: Snapshot
    number: int
    source: str
    api_version: str | None = None
    cause: str | None = None
    """Why a synchronisation found a difference."""

    def row(self) -> dict[str, Any]:
        """The columns that all kinds have."""
        snapshot = self.snapshot
        return {
            "kind": snapshot["object"],
            "id": snapshot["id"],
            "livemode": snapshot["livemode"],
            "deleted": bool(snapshot.get("deleted")),
            "snapshot": snapshot,
            "number": self.number,
            "source": self.source,
            "api_version": self.api_version,
            "created": snapshot.get("created"),
        }


class Stored(msgspec.Struct, frozen=True):
    """A row of the mirror. `intact` is false where somebody else than us wrote it."""

    kind: str
    id: str
    livemode: bool
    deleted: bool
    snapshot: Snapshot
    number: int
    source: str
    api_version: str | None
    intact: bool
    synced_at: datetime


class Seen(NamedTuple):
    """An object that is shown; `as_of` is when the mirror saw it, None where Stripe just said so."""

    snapshot: Snapshot
    as_of: datetime | None = None


def told_age(as_of: datetime | None) -> list[str]:
    """What is said beside what the mirror answered."""
    return [f"Stripe does not answer: this is from the mirror, as of {as_of:%Y-%m-%d %H:%M:%SZ}"] if as_of else []


class FieldChange(msgspec.Struct, frozen=True):
    """One field of an object; `field` is its path: `items.si_1.quantity`. None where it is not there."""

    field: str
    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture changed. `before` is None where the object was not known; `after` may be `{"deleted": true}`."""

    kind: str
    id: str
    livemode: bool
    what: Literal["created", "updated", "deleted"]
    before: Snapshot | None
    after: Snapshot
    fields: list[FieldChange]
    picture: Picture
    intact: bool = True
    """False where somebody else than us wrote `before`."""


class ListedChange(msgspec.Struct, frozen=True):
    """A row of the record of changes."""

    id: int
    kind: str
    object: str
    what: str
    source: str
    cause: str | None
    changes: list[dict[str, Any]]
    changed_at: datetime
