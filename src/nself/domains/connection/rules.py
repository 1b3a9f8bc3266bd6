"""Marks by which an object at Stripe tells which intent made it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from nself.domains.connection.model import Intent, Snapshot

MARK = "nself_intent"


def part(snapshot: Snapshot, name: str) -> Snapshot:
    """A nested object of a snapshot, empty where Stripe left it out."""
    return cast(Snapshot, snapshot.get(name) or {})


def items(snapshot: Snapshot, name: str) -> list[Snapshot]:
    """The data of a nested list of a snapshot."""
    return cast("list[Snapshot]", part(snapshot, name).get("data", []))


def marked(params: Snapshot, key: str) -> Snapshot:
    """`params` with the intent's key in the metadata, by which a lost outcome is found again."""
    return {**params, "metadata": {**part(params, "metadata"), MARK: key}}


def with_mark(made: Iterable[Snapshot], intent: Intent) -> Snapshot | None:
    """The object that `intent` made, among those that Stripe lists."""
    return next((one for one in made if part(one, "metadata").get(MARK) == intent.idempotency_key), None)


def user_of(snapshot: Snapshot) -> Any:
    """The user that we wrote into an object's metadata, or None."""
    return part(snapshot, "metadata").get("nself_user")
