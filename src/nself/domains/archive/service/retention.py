"""Scheduled work: raw usage that is older than the retention goes to the archive. And what the archive holds."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.bucket.errors import ObjectDamaged, ObjectMissing
from nself.core import period
from nself.core.entrypoint import Rows
from nself.domains.archive import rules, store
from nself.domains.archive.inputs import ListArchives
from nself.domains.archive.model import Archive, ArchivedMonth, ShownArchive
from nself.domains.archive.service import archive, files, plan
from nself.domains.usage.service import aggregate

UTC_ZONE = period.zone("UTC")


def scheduled(app: App) -> str:
    """The work of the kind `usage_retention`, in words. Raises BucketNotSet, the bucket's errors, LockTimeout."""
    days = app.settings.integer("BILLING_USAGE_RETENTION_DAYS")
    if not days:
        return "BILLING_USAGE_RETENTION_DAYS is 0: raw usage is kept"
    limit = rules.first_of(app.clock() - timedelta(days=days))
    if app.settings.flag("BILLING_USAGE_RETENTION_ARCHIVE"):
        rows = archive.months(app, limit, False)
    else:
        aggregate.aggregate(app)
        rows = [row for one in plan.partitions(app, limit) if (row := archive.drop_for_good(app, one.month))]
    return "; ".join(_told(row) for row in rows) or f"nothing is older than {rules.name(limit)}"


def _told(row: ArchivedMonth) -> str:
    return f"{row.month} {row.action}: {row.note or f'{row.events} events'}"


def archives(app: App, given: ListArchives) -> Rows[ShownArchive]:
    """What was archived, and what of it is nowhere else. With `check` everything is read. Raises the bucket's errors."""
    month = rules.first_of(period.month(given.month, UTC_ZONE, "month").start) if given.month else None
    with app.db.reading() as tx:
        found = [one for one in store.archives(tx, month) if one.state != "abandoned"]
    owner = files.owner(app)
    others = _others(app, owner) if given.check else []
    rows = [_shown(app, one, given.check) for one in found]
    return Rows(rows, [f"this database's name in the archive is {owner}", *_retention(app), *others])


def _shown(app: App, one: Archive, check: bool) -> ShownArchive:
    away = one.events - one.kept - one.returned if one.state == "dropped" else 0
    note = "dropped without an archive" if not one.location else _checked(app, one) if check else ""
    return ShownArchive(
        month=rules.name(one.month),
        state=one.state,
        events=one.events,
        away=away,
        objects=one.objects,
        bytes=one.bytes,
        location=one.location,
        archived_at=one.verified_at,
        dropped_at=one.dropped_at,
        actor=one.actor,
        note=note,
    )


def _checked(app: App, one: Archive) -> str:
    if one.state == "writing":
        return "not finished; the next run begins it anew"
    try:
        manifest = files.read_manifest(app, one.location, one.manifest_sha256)
        if manifest is None:
            return "damaged: its manifest is gone"
        for piece in manifest.objects:
            files.verify(app, one.location, piece)
    except (ObjectMissing, ObjectDamaged) as error:
        return f"damaged: {error.message}"
    return "all objects are as they were written"


def _others(app: App, owner: str) -> list[str]:
    """The archives of other databases in the bucket, which a database that was made anew may want back."""
    names = {name.split("/")[1] for name in app.bucket.folders(files.ROOT)}
    return [f"the bucket also holds archives of {name}" for name in sorted(names) if name != owner]


def _retention(app: App) -> list[str]:
    days = app.settings.integer("BILLING_USAGE_RETENTION_DAYS")
    if not days:
        return ["raw usage is kept: BILLING_USAGE_RETENTION_DAYS is 0"]
    how = "archived, then dropped" if app.settings.flag("BILLING_USAGE_RETENTION_ARCHIVE") else "dropped for good"
    return [
        f"months that ended {days} days ago are {how} by scheduled work: nself billing jobs list --type usage_retention"
    ]
