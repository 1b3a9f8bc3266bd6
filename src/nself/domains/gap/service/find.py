"""Gaps in a user's usage: silences that are too long for the user's own rhythm, and events that are known to be lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from shlex import quote

from nself.app import App
from nself.core import period
from nself.core.errors import BillingError
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.gap import rules, store
from nself.domains.gap.inputs import FindGaps
from nself.domains.gap.model import Cause, Gap, Minute, Rejected, Reread, Silence
from nself.domains.gap.service.events import require_events
from nself.domains.invoice.service import assess
from nself.domains.uptime.model import DATABASE, Downtime, Refusal
from nself.domains.uptime.rules import within
from nself.domains.uptime.service import heart
from nself.domains.uptime.service import show as uptime
from nself.domains.usage import rules as usage
from nself.domains.usage.service import collector, inspect

HISTORY = timedelta(days=56)
"""From which the rhythm is taken, besides the period itself."""
TAKES_USAGE = "http"
SMALL = 10
"""A cause that fills less than one part in so many of a gap did not make it."""

Lost = tuple[datetime, Rejected]
"""A rejected event and when it was or came."""


def find(app: App, given: FindGaps) -> list[Gap]:
    """Oldest first. Raises NoSuchUser, NoSuchMetric, InvalidParameter, EventsGone."""
    if given.metric is not None:
        catalog_rules.require(catalog.metric_file(app), given.metric)
    customer.require_user(app, given.user)
    now, asked = app.clock(), inspect.given_span(app, given.start, given.end)
    span = Period(asked.start, min(asked.end, now))
    if span.start >= span.end:
        return []
    heart.adopt(app)
    before = Period(span.start - HISTORY, span.end)
    with app.db.snapshot() as tx:
        require_events(tx, given.user, span)
        minutes = store.minutes(tx, given.user, given.metric, before)
        causes = _causes(app, tx, before, now)
        reread = store.reconstructed(tx, given.user, span.start)
        lost = _rejected(app, given, store.rejected(tx, given.user, span.start))
        lost = [one for one in lost if not any(done.covers(one[1][0], one[1][1].rejected_at) for done in reread)]
        invoiced = assess.invoiced_periods(app, tx, given.user)
    found = _Found(app, given.user, span, causes, lost, invoiced)
    for metric, some in groupby(minutes, key=lambda one: one.metric):
        found.look(metric, list(some))
    found.add_rejected()
    found.add_refused(reread)
    return sorted(found.gaps, key=lambda one: (one.start, one.metric))


def _causes(app: App, tx: Tx, span: Period, now: datetime) -> list[Cause]:
    """What was wrong with the services."""
    found = [_down(one) for one in uptime.downtimes_of(tx, span, now) if one.service in (TAKES_USAGE, DATABASE)]
    return [*found, *(_refused(one) for one in uptime.refusals(tx, span)), *_waiting(app, span)]


def _down(one: Downtime) -> Cause:
    what = "database_connection_loss: the database" if one.service == DATABASE else f"service_downtime: {one.service}"
    text = f"{what} was away from {_at(one.start)} to {_at(one.end)} ({one.detail})"
    return Cause(Period(one.start, one.end), text, f"nself billing uptime --start {_at(one.start)}", sure=False)


def _refused(one: Refusal) -> Cause:
    name = "buffer_overflow" if one.code == "buffer_full" else "refused"
    text = f"{name}: {one.requests} requests with {one.events} events of all users, resends included, were answered with 503 {one.code} from {_at(one.began_at)} to {_at(one.ended_at)}"
    mend = (
        "nself env set USAGE_BUFFER_SIZE=100000"
        if one.code == "buffer_full"
        else "nself env set USAGE_ENABLE_BUFFER=true"
    )
    return Cause(
        Period(one.began_at, one.ended_at + timedelta(seconds=1)), text, mend, sure=True, lost_by=one.events or None
    )


def _waiting(app: App, span: Period) -> list[Cause]:
    """What is on disk is not lost."""
    try:
        left = collector.waiting(app)
    except BillingError:
        return []
    if left.since is None:
        return []
    since = rules.EPOCH + timedelta(milliseconds=left.since)
    text = f"database_connection_loss: {left.events} events of all users wait on disk since {_at(since)}"
    return [
        Cause(
            Period(since, max(since, span.end) + timedelta(seconds=1)), text, "nself restart usage-collector", sure=True
        )
    ]


def _rejected(app: App, given: FindGaps, found: Iterable[Rejected]) -> list[tuple[str, Lost]]:
    """Those of this user, by metric (empty: it does not say), with when they happened, else came."""
    mine: list[tuple[str, Lost]] = []
    for one in found:
        told = usage.about(one.event)
        if told and told[0] == given.user and given.metric in (None, told[1]):
            mine.append((told[1], (_happened(app, told[2]) or one.rejected_at, one)))
    return mine


def _happened(app: App, at: str | None) -> datetime | None:
    try:
        return period.instant(at, app.timezone) if at else None
    except BillingError:
        return None


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


class _Found:
    """Gaps with their causes and what mends them."""

    def __init__(
        self, app: App, user: str, span: Period, causes: list[Cause], lost: list[tuple[str, Lost]], invoiced: list[Period]
    ) -> None:  # fmt: skip
        self.app, self.user, self.span, self.causes, self.lost, self.invoiced = app, user, span, causes, lost, invoiced
        self.gaps: list[Gap] = []
        self.told: set[int] = set()

    def look(self, metric: str, minutes: Sequence[Minute]) -> None:
        silences, rhythm = rules.silences(minutes, self.span, self.app.timezone, [one.span for one in self.causes])
        for one in silences:
            lost = [
                at for at, (name, (when, _)) in enumerate(self.lost) if name in (metric, "") and _in(when, one.span)
            ]
            self.told.update(lost)
            self._add(metric, one, rhythm, [self.lost[at][1] for at in lost])

    def _add(self, metric: str, one: Silence, rhythm: str, lost: list[Lost]) -> None:
        whole = one.span.end - one.span.start
        known = [
            cause
            for cause in self.causes
            for part in within([cause.span], one.span)
            if cause.sure or (part.end - part.start) * SMALL >= whole
        ]
        texts, mends = _of_rejected(lost)
        self._gap(
            metric,
            one.span,
            one.expected,
            f"by the rhythm of {rhythm} so long a silence comes {rules.odds(one.chance)} times",
            [*(cause.text for cause in known), *texts],
            [*(cause.mend for cause in known), *mends, self._reconstruct(one.span)],
        )

    def add_rejected(self) -> None:
        """Events that are known to be lost, though others of that time were counted."""
        groups: defaultdict[tuple[str, str], list[Lost]] = defaultdict(list)
        for at, (metric, (when, one)) in enumerate(self.lost):
            if at not in self.told and _in(when, self.span):
                groups[metric or "unknown", one.code].append((when, one))
        for (metric, _), lost in groups.items():
            texts, mends = _of_rejected(lost)
            span = Period(min(when for when, _ in lost), max(when for when, _ in lost))
            self._gap(metric, span, len(lost), "events came and were not counted", texts, mends)

    def add_refused(self, reread: Iterable[Reread]) -> None:
        """Times at which usage of anybody was answered with 503, short ones too, until the logs were read for it."""
        told = {text for gap in self.gaps for text in gap.causes}
        for one in self.causes:
            known = one.text in told or one.lost_by is None or not _in(one.span.start, self.span)
            if not known and not any(done.covers(one.span.start, one.span.end) for done in reread):
                mend = [one.mend, self._reconstruct(one.span)]
                why = "usage came and was refused; whose is not known"
                self._gap("unknown", one.span, one.lost_by or 0, why, [one.text], mend)

    def _gap(self, metric: str, span: Period, expected: int, why: str, causes: list[str], mend: list[str]) -> None:
        closed = any(one.start <= span.end and span.start < one.end for one in self.invoiced)
        self.gaps.append(
            Gap(
                metric=metric,
                start=span.start,
                end=span.end,
                length=rules.length(span),
                expected_about=expected,
                why=why,
                causes=causes or ["unknown"],
                invoiced=closed,
                mend=list(dict.fromkeys(mend)),
            )
        )

    def _reconstruct(self, span: Period) -> str:
        tz = self.app.timezone
        first, last = span.start.astimezone(tz).date(), (span.end - timedelta(microseconds=1)).astimezone(tz).date()
        until = f" --until {last}" if last > first else ""
        return f"nself billing usage reconstruct --user {quote(self.user)} --from-logs --date {first}{until}"


def _in(at: datetime, span: Period) -> bool:
    return span.start <= at < span.end


def _of_rejected(lost: list[Lost]) -> tuple[list[str], list[str]]:
    """Texts and commands, one a reason."""
    codes: defaultdict[str, int] = defaultdict(int)
    for _, one in lost:
        codes[one.code] += 1
    texts = [f"failed_recordings: {count} events were rejected: {code}" for code, count in sorted(codes.items())]
    return texts, [f"nself billing usage rejected list --code {code}" for code in sorted(codes)]
