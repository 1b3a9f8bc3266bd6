"""Faults on demand: what the next calls or deliveries suffer, and outages between two times."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.domains.sandbox import rules
from nself.domains.sandbox.inputs import AddFault, ClearFaults, ListFaults
from nself.domains.sandbox.model import FaultsCleared, NotInSandbox, StandingFault
from nself.domains.sandbox.service.reach import ask
from nself.domains.sandbox.store import Answer


def standing(app: App, given: ListFaults) -> list[StandingFault]:
    """In the order in which they are tried. Raises TestModeOnly, SandboxAway."""
    return [_shown(one) for one in ask(app, "GET", "faults")["faults"]]


def add(app: App, given: AddFault) -> StandingFault:
    """Raises TestModeOnly, SandboxAway, InvalidParameter, SandboxRefused."""
    now = ask(app, "GET", "clock")["now"]
    added = _shown(ask(app, "POST", "faults", rules.fault(given, now, app.timezone)))
    log.info("sandbox_fault_added", fault=added.id, what=added.what, where=added.where)
    return added


def clear(app: App, given: ClearFaults) -> FaultsCleared:
    """One or all; webhooks that were held go out. Raises TestModeOnly, SandboxAway, NotInSandbox."""
    cleared = ask(app, "POST", "faults/clear", {"id": given.id} if given.id else {})["cleared"]
    if given.id and not cleared:
        raise NotInSandbox(detail=f"No such fault: {given.id}")
    return FaultsCleared(cleared=cleared)


def _shown(one: Answer) -> StandingFault:
    what, where = rules.fault_words(one)
    remaining = None if one["on"] == "outage" else one["remaining"]
    return StandingFault(id=one["id"], on=one["on"], what=what, where=where, remaining=remaining)
