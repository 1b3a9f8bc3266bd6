"""What the doctor says."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nself.core.errors import Denied, Invalid, NotFound
from nself.diagnosis import Sure

INDENT = " " * 7


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A root cause that is there. `because`: the found cause that brings it about, empty where none does."""

    cause: str
    title: str
    sure: Sure
    evidence: str
    because: str
    mend: list[str]
    elsewhere: str
    fix: str
    """The command that mends it without asking, empty where there is none."""
    page: str

    def lines(self) -> Iterator[str]:
        yield f"{self.cause:<7}{self.title} ({self.sure})"
        yield f"{INDENT}{self.evidence}"
        if self.elsewhere:
            yield f"{INDENT}elsewhere: {self.elsewhere}"
        for at, line in enumerate(self.mend):
            yield f"{INDENT}{'mend:' if at == 0 else '     '} {line}"
        if self.fix:
            yield f"{INDENT}or:   {self.fix}"


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """Causes that could not be looked at."""

    causes: list[str]
    reason: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `billing doctor`: causes before their consequences. `healthy`: nothing was found, and all could be looked at."""

    healthy: bool
    mode: str
    issues: list[str]
    """Those whose causes were looked at, empty where it were all."""
    examined: int
    findings: list[Finding]
    unseen: list[Unseen]
    milliseconds: int

    def plain(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for one in self.findings:
            if not one.because:
                yield from one.lines()
                for other in self.findings:
                    if other.because == one.cause:
                        yield f"{INDENT}follows from it: {other.cause} {other.title}: {other.evidence}"
                yield ""
        for none in self.unseen:
            yield f"not looked at: {', '.join(none.causes)}: {none.reason}"
        causes = sum(not one.because for one in self.findings)
        told = f"{causes} found" + (f", {len(self.findings) - causes} follow from them" if self.findings else "")
        yield f"{self.examined} root causes looked at in {self.milliseconds / 1000:.1f} s: {told}"


class CauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `doctor list`."""

    cause: str
    title: str
    issue: str
    mended_by: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `doctor explain`."""

    cause: str
    title: str
    issue: str
    symptoms: list[str]
    explanation: str
    mend: list[str]
    elsewhere: str
    follows: list[str]
    rehearse: str

    def plain(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.cause} {self.title} ({self.issue})"
        yield f"\nShows as: {'; '.join(self.symptoms)}"
        yield f"\n{self.explanation}\n"
        if self.elsewhere:
            yield f"Elsewhere: {self.elsewhere}"
        yield "Mend:"
        yield from (f"  {line}" for line in self.mend)
        if self.follows:
            yield f"May follow from: {', '.join(self.follows)}"
        yield f"Rehearse it: {self.rehearse}"


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A command of a mend: `exit_code` None where it was not run."""

    command: str
    exit_code: int | None
    said: str


class Fixed(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `doctor fix`. `mended`: the cause is not there, any more or at all; True for a dry run."""

    cause: str
    title: str
    evidence: str
    deeds: list[Deed]
    mended: bool
    note: str


class NoSuchCause(NotFound):
    code = "no_such_cause"
    text = "No such root cause: {cause}"
    hints = ("nself billing doctor list",)


class NoSuchSymptom(Invalid):
    code = "no_such_symptom"
    text = "No issue of the guide shows like this: {symptom}"
    hints = ("nself billing doctor", "nself billing doctor list")


class NotMendedHere(Denied):
    code = "not_mended_here"
    text = "nself does not mend {cause} by itself: {why}"
    hints = ("nself billing doctor explain {cause}",)


class MoneyMoves(Denied):
    code = "money_moves"
    text = "Mending {cause} moves money, which is done with --yes only: {commands}"
    hints = ("nself billing doctor fix {cause} --dry-run", "nself billing doctor fix {cause} --yes")
