"""What was charged wrongly, by rules that are stated: one stream from the mirror, judged as it passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from nself import files, log
from nself.app import App
from nself.core import period
from nself.core.entrypoint import Rows
from nself.core.money import Money
from nself.domains.audit import rules, store
from nself.domains.audit.inputs import AuditCharges
from nself.domains.audit.model import AuditedCharges, Suspect

SKEW = timedelta(days=1)
"""Stripe's clock may be ahead of ours: what was made a moment ago counts."""


class Tally:
    """What passed by status, and the sums a currency of what is too much for certain: still open, and given back."""

    def __init__(self) -> None:
        self.found, self.open, self.refunded = Counter[str](), Counter[str](), Counter[str]()

    def watch(self, given: AuditCharges, found: Generator[Suspect]) -> Generator[Suspect]:
        for one in found:
            self.found[one.status] += 1
            self.open[one.currency] += one.amount
            self.refunded[one.currency] += one.refunded
            if given.status in (None, one.status):
                yield one

    def notes(self, status: str | None) -> str:
        took, back = ", ".join(totals(self.open)), ", ".join(totals(self.refunded))
        parts = [
            f"{self.found['suspicious']} charges took too much: {took or 'nothing'}{f' ({back} was given back)' if back else ''}"
        ]
        for name, meaning in (
            ("review", "need a person's look"),
            ("disputed", "are disputed"),
            ("refunded", "were refunded"),
        ):
            if self.found[name]:
                seen = "" if status in (None, name) else f" (--status {name})"
                parts.append(f"{self.found[name]} {meaning}{seen}")
        return "; ".join(parts)


def totals(sums: Counter[str]) -> list[str]:
    """One amount a currency."""
    return [str(Money(minor, currency)) for currency, minor in sorted(sums.items()) if minor]


def span(app: App, since: str, until: str | None) -> tuple[datetime, datetime]:
    """Raises InvalidParameter."""
    now = app.clock()
    start = period.since(since, now, app.timezone)
    end = period.instant(until, app.timezone, "until", end=True) if until else now + SKEW
    return start, end


def audit_charges(app: App, given: AuditCharges) -> Rows[Suspect] | AuditedCharges:
    """Raises InvalidParameter, FileNotWritten."""
    tally = Tally()
    with _judged(app, given) as found:
        passing = tally.watch(given, found)
        if given.output:
            path = Path(given.output)
            with files.private(path) as file:
                rows = files.write(file, "json" if given.format == "json" else "csv", Suspect, passing)
            note = tally.notes(given.status)
            log.info("charges_audited", file=str(path), rows=rows, found=dict(tally.found))
            return AuditedCharges(
                output=str(path), rows=rows, open=totals(tally.open), refunded=totals(tally.refunded), note=note
            )
        shown = list(islice(passing, given.limit))
        more = sum(1 for _ in passing)
    notes = [tally.notes(given.status)]
    if more:
        notes.append(f"{more} more are not shown: --output FILE has them all")
    return Rows(shown, notes)


@contextmanager
def _judged(app: App, given: AuditCharges) -> Generator[Generator[Suspect]]:
    since, until = span(app, given.since, given.until)
    caps = app.settings.amounts("BILLING_OVERAGE_CAP")
    with app.db.snapshot() as tx:
        charges = store.charges(tx, app.settings.live, since - rules.LOOK_BACK, since, until)
        yield (one for one in rules.suspects(charges, since, caps))
