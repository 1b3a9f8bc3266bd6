"""The clock of the whole sandbox: it goes on as real time does, and forward when it is told to."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.core import period
from nself.domains.sandbox import rules
from nself.domains.sandbox.inputs import AdvanceClock, SetClock, ShowClock
from nself.domains.sandbox.model import ClockMoved, ClockShown, EventCount
from nself.domains.sandbox.service.reach import ask, instant


def show(app: App, given: ShowClock) -> ClockShown:
    """Raises TestModeOnly, SandboxAway."""
    found = ask(app, "GET", "clock")
    return ClockShown(now=instant(found["now"]), ahead=found["offset"])


def advance(app: App, given: AdvanceClock) -> ClockMoved:
    """Forward by a duration. Raises TestModeOnly, SandboxAway, InvalidParameter."""
    return _move(app, {"advance": period.duration(given.duration, "duration")})


def set_to(app: App, given: SetClock) -> ClockMoved:
    """Forward to an instant. Raises TestModeOnly, SandboxAway, InvalidParameter; SandboxRefused for the past."""
    return _move(app, {"to": rules.clock_target(given.instant, app.timezone)})


def _move(app: App, wish: dict[str, float]) -> ClockMoved:
    moved = ask(app, "POST", "clock", wish)
    events = [EventCount(type=type, count=count) for type, count in moved["events"].items()]
    log.info("sandbox_clock_moved", before=moved["before"], now=moved["now"])
    return ClockMoved(before=instant(moved["before"]), now=instant(moved["now"]), events=events)
