"""A history to be archived, and what is known of it from outside."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from metering import people
from nself.app import App
from nself.domains.archive.inputs import ArchiveUsage, ListArchives, RestoreUsage
from nself.domains.archive.model import ArchivedMonth, Restored, ShownArchive
from nself.domains.archive.service import archive, restore, retention
from nself.domains.usage.inputs import ShowUsage, UsageEvent
from nself.domains.usage.service import record, show

METRICS = ("calls", "logins", "peak", "seats")
BEFORE = "2026-01-01"


def event(
    user: str, at: str | datetime, key: str, value: int = 1, metric: str = "calls", **properties: Any
) -> UsageEvent:
    spelt = at if isinstance(at, str) else at.isoformat()
    return UsageEvent(user=user, metric=metric, value=value, at=spelt, key=key, properties=properties or None)


def send(app: App, *events: UsageEvent) -> dict[str, int]:
    """Number of events by what became of them."""
    outcome = record.ingest(app, events, "test")
    refused, duplicate = len(outcome.refused), len(outcome.duplicates)
    return {"counted": len(events) - refused - duplicate, "duplicate": duplicate, "refused": refused}


def populate(app: App, users: int = 3, each: int = 40, months: tuple[int, ...] = (10, 11, 12)) -> tuple[str, ...]:
    """Events all over some months of 2025, among them the first and the last instant, with odd texts."""
    names, draw = people(app, *(f"user-ü{at} {chr(97 + at)}" for at in range(users))), random.Random(1)
    sent: list[UsageEvent] = []
    for month in months:
        start = datetime(2025, month, 1, tzinfo=UTC)
        seconds = int(((start + timedelta(days=32)).replace(day=1) - start).total_seconds())
        for user in names:
            places = [0, seconds * 1_000_000 - 1, *(draw.randrange(seconds * 1_000_000) for _ in range(each - 2))]
            for at, place in enumerate(places):
                given = {"path": 'a,"b"\t\n\\ ä', "n": at} if at % 3 else {}
                key = f'{month}-{at} "k" \\ ü'
                value = draw.choice((0, 1, 7, 10**15))
                sent.append(
                    event(user, start + timedelta(microseconds=place), key, value, draw.choice(METRICS), **given)
                )
    draw.shuffle(sent)
    for at in range(0, len(sent), 50):
        assert send(app, *sent[at : at + 50])["counted"] == len(sent[at : at + 50])
    return names


def raw(app: App) -> list[tuple[Any, ...]]:
    """All stored events."""
    with app.db.reading() as tx:
        return tx.connection.execute(
            "select user_id, created_at, idempotency_key, metric_type, value, properties, source, recorded_at"
            " from billing_usage order by 1, 2, 3"
        ).fetchall()


def answers(
    app: App, users: tuple[str, ...], months: tuple[str, ...] = ("2025-10", "2025-11", "2025-12")
) -> dict[Any, int]:
    """What is answered for months, days and hours."""
    found: dict[Any, int] = {}
    for user in users:
        for month in months:
            for by in (None, "day", "hour"):
                for one in show.show(app, ShowUsage(user=user, period=month, by=by)):  # type: ignore[arg-type]
                    if one.events:
                        found[user, month, by, one.metric, one.period_start, one.events] = one.value
    return found


def archive_all(app: App, before: str = BEFORE, **more: bool) -> list[ArchivedMonth]:
    return archive.archive_usage(app, ArchiveUsage(before=before, to_s3=True, execute=True, **more))


def bring_back(app: App, **given: Any) -> Restored:
    return restore.restore(app, RestoreUsage(**{"execute": True, **given}))


def kept(app: App, check: bool = False) -> list[ShownArchive]:
    return retention.archives(app, ListArchives(check=check))
