"""What an operator's use cases answer, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from nself.core.errors import Conflict, NotFound, Unavailable


class Maintenance(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept while it lasts; without `until` somebody must end it."""

    message: str
    since: datetime
    by: str
    until: datetime | None = None


class MaintenanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `maintenance on|off|status`."""

    maintenance: Literal["on", "off"]
    message: str | None
    since: datetime | None
    until: datetime | None
    by: str | None
    note: str


class UnderMaintenance(Unavailable):
    code = "maintenance"
    text = "{message}"
    hints = ("nself maintenance status",)
    guide = "Emergency 1"

    def __init__(self, message: str, retry_after: float | None) -> None:
        """`retry_after` in seconds, where it is known when it ends."""
        super().__init__(message=message)
        self.retry_after = retry_after


class NoSuchProgram(NotFound):
    code = "no_such_program"
    text = "No such program: {program}"
    hints = ("nself exec --help",)


class ProgramNotRun(Conflict):
    code = "program_not_run"
    text = "{program} cannot be run: {detail}"
    hints = ("nself exec --help",)


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an alert at one place."""

    channel: Literal["log", "mail", "webhook"]
    result: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `alert send`."""

    severity: str
    message: str
    sent: list[Delivered]
    notes: list[str]

    def remarks(self) -> list[str]:
        return self.notes


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `exec`; 128 and the number of a signal that ended the program."""

    exit_code: int
