"""How each source of a history is told: pure."""

from __future__ import annotations

from nself.domains.access.model import AccessChange
from nself.domains.history.model import Happened
from nself.domains.mirror import rules as mirror
from nself.domains.mirror.model import ListedChange
from nself.domains.notification.model import Posted
from nself.domains.trail.model import Deed


def changed(one: ListedChange) -> Happened:
    return Happened(
        at=one.changed_at, what=f"{one.kind} {one.what}", object=one.object, by=one.source, detail=mirror.told(one)
    )


def mailed(one: Posted) -> Happened:
    why = f": {one.last_error}" if one.last_error else ""
    what, detail = f"mail {one.template or one.kind}", f"to {one.recipient}: {one.state}{why}"
    return Happened(at=one.created_at, what=what, object=one.id, by="", detail=detail)


def decided(one: AccessChange) -> Happened:
    return Happened(at=one.changed_at, what=f"access {one.access}", object="", by=one.actor, detail=one.reason)


def done(one: Deed) -> Happened:
    return Happened(at=one.at, what="command", object="", by=one.actor, detail=f"{one.command}: {one.outcome}")
