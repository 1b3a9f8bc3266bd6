"""Nouns of rehearsals."""

from __future__ import annotations

from datetime import datetime

import msgspec

from nself.core.errors import Conflict, Denied, Invalid, Unavailable


class Prop(msgspec.Struct, frozen=True, kw_only=True):
    """A process that plays something of the world outside: known by id and moment of birth, since ids are used again."""

    pid: int
    born: float


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """`.nself/drill.json`: what is planted now."""

    cause: str
    at: datetime
    props: list[Prop] = []
    files: dict[str, str | None] = {}
    """Of the project, with what they held before; None where there was none."""


class DrillRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `drill list`."""

    cause: str
    title: str
    shown_by: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `drill plant`: what an operator would hear, without the cause."""

    planted: str
    symptoms: list[str]
    diagnosis: list[str]
    then: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `drill check`. `mended`: what was planted is gone and nothing else is found."""

    cause: str
    title: str
    minutes: int
    found: list[str]
    mended: bool


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    cleared: str


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `drill run`.

    `shown`: the guide's diagnosis commands show it. `named`: the doctor names it. `alone`: nothing else, but what follows
    from it. `mended`: after the guide's commands the doctor finds nothing. `gone`: the diagnosis shows it no more.
    """

    cause: str
    title: str
    shown: bool
    named: bool
    alone: bool
    mended: bool
    gone: bool
    seconds: int
    note: str

    @property
    def passed(self) -> bool:
        """Of two at once it is asked that both are named: the guide's lines for one may speak of an invoice that the other closed."""
        if "+" in self.cause:
            return self.named
        return self.shown and self.named and self.alone and self.mended and self.gone

    def plain(self) -> str:
        told = "  ".join(
            f"{name} {'yes' if getattr(self, name) else 'NO '}"
            for name in ("shown", "named", "alone", "mended", "gone")
        )
        return f"{self.cause:<12}{told}  {self.seconds:>3} s  {self.title}{f': {self.note}' if self.note else ''}"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The last row of `drill run`."""

    passed: int
    failed: int
    seconds: int

    def plain(self) -> str:
        return f"{self.passed} passed, {self.failed} failed in {self.seconds} s"


class DrillsInTestModeOnly(Denied):
    code = "test_mode_only"
    text = "Root causes are planted in test mode at the sandbox only: {why}"
    hints = ("nself billing stripe show-mode",)


class DrillUnconfirmed(Denied):
    code = "unconfirmed"
    text = "A rehearsal forgets all local data of test mode: say --yes"
    hints = ("nself billing drill plant random --yes", "nself billing drill clear --yes", "nself billing drill list")


class NothingPlanted(Conflict):
    code = "nothing_planted"
    text = "Nothing is planted"
    hints = ("nself billing drill plant random --yes", "nself billing drill list")


class NoSuchDrill(Invalid):
    code = "no_such_drill"
    text = "No rehearsal of {cause}"
    hints = ("nself billing drill list",)


class PlantFailed(Unavailable):
    code = "plant_failed"
    text = "{cause} could not be planted: {detail}"
    hints = ("nself billing drill clear --yes", "nself status")


class DrillsFailed(Conflict):
    code = "drills_failed"
    text = "{failed} of {all} rehearsals failed"
    hints = ("nself billing drill run {first} --yes",)
