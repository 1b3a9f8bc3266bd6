"""Sending whole months of raw usage to the archive, and dropping them here once they were read back.

A month goes through three transactions under its lock: a row that says where it is being written; the objects, read back,
then the manifest, with the row `verified`; the drop, with the row `dropped`. Whoever is killed leaves a row that the next
run finds: what was only written is removed and begun anew, what was verified is verified again and dropped.
"""

from __future__ import annotations

from datetime import date, timedelta

from nself import log
from nself.app import App
from nself.bucket.errors import ObjectDamaged, ObjectMissing
from nself.core.entrypoint import Rows
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.archive import rules, store
from nself.domains.archive.inputs import ArchiveUsage
from nself.domains.archive.model import Archive, ArchivedMonth, Manifest, MonthBusy, Partition
from nself.domains.archive.service import files, plan
from nself.domains.archive.service.plan import Look
from nself.domains.job.model import PutOff
from nself.domains.job.service import operate
from nself.domains.usage.service import aggregate, recount

ATTEMPTS = 3
"""How often a month is begun anew because usage of it came in meanwhile."""


def command(app: App, given: ArchiveUsage) -> Rows[ArchivedMonth] | PutOff:
    """`archive_usage`; with `execute` it may be left to the worker."""
    rules.before(given.before)
    if not (given.execute and given.to_s3):
        return archive_usage(app, given)
    return operate(app, archive_usage, given)


def archive_usage(app: App, given: ArchiveUsage) -> Rows[ArchivedMonth]:
    """A row for each month before `given.before` that has raw events. Raises InvalidParameter, MissingParameter, MonthBusy,
    LockTimeout, KeysMissing, ArchiveDiffers, the bucket's errors; months that were done stay done."""
    limit = rules.before(given.before)
    if not given.execute:
        rows = planned(app, limit, given.uninvoiced)
        return Rows(rows, _remarks(app, rows, given.before))
    if not given.to_s3:
        raise MissingParameter("to-s3")
    return Rows(months(app, limit, given.uninvoiced), [])


def planned(app: App, limit: date, uninvoiced: bool) -> list[ArchivedMonth]:
    """What `months` would do."""
    found: list[ArchivedMonth] = []
    for one in plan.partitions(app, limit):
        seen = plan.look(app, one.month, uninvoiced)
        if seen.leaving:
            action = "refuse" if seen.reasons else "archive"
            found.append(_row(one, seen, action, "; ".join(seen.reasons) or _left(app, one.month)))
    return found


def _left(app: App, month: date) -> str:
    with app.db.reading() as tx:
        found = store.under_way(tx, month)
    if found is None:
        return ""
    if found.state == "verified":
        return "an earlier run archived and verified it; it is verified again and dropped"
    return "an earlier run was interrupted; it is begun anew"


def _remarks(app: App, rows: list[ArchivedMonth], before: str) -> list[str]:
    if not rows:
        return [f"no month that ended by {before} has raw usage here"]
    bucket = app.settings.text("ARCHIVE_S3_BUCKET")
    missing = [] if bucket else ["ARCHIVE_S3_BUCKET is not set: nself env set ARCHIVE_S3_BUCKET=my-billing-archive"]
    if not any(row.action == "archive" for row in rows):
        return ["nothing was done, and nothing can be yet", *missing]
    return [f"nothing was done; to do it: nself billing archive-usage --before {before} --to-s3 --execute", *missing]


def months(app: App, limit: date, uninvoiced: bool) -> list[ArchivedMonth]:
    """Archive and drop the months before `limit`, oldest first."""
    app.bucket  # noqa: B018  refuse before anything is done where there is none
    aggregate.aggregate(app)
    found: list[ArchivedMonth] = []
    for one in plan.partitions(app, limit):
        seen = plan.look(app, one.month, uninvoiced)
        if seen.leaving:
            found.append(
                _row(one, seen, "refused", "; ".join(seen.reasons)) if seen.reasons else _archive(app, one, seen)
            )
    return found


def _row(one: Partition, seen: Look, action: str, note: str) -> ArchivedMonth:
    return ArchivedMonth(
        month=rules.name(one.month), events=seen.counts.raw_events, size_bytes=one.bytes, action=action, note=note
    )


def _archive(app: App, one: Partition, seen: Look) -> ArchivedMonth:
    for _ in range(ATTEMPTS):
        archive, manifest = _verified(app, one.month)
        try:
            kept = _drop(app, one.month, archive, manifest)
        except _Changed:
            continue
        if isinstance(kept, str):
            return _row(one, seen, "refused", f"archived and verified, not dropped: {kept}")
        return ArchivedMonth(
            month=rules.name(one.month),
            events=archive.events,
            size_bytes=one.bytes,
            action="archived",
            objects=archive.objects,
            archived_bytes=archive.bytes,
            location=app.bucket.location(archive.location),
            note=f"{kept} events stay that answers need one by one" if kept else "",
        )
    return _row(one, seen, "refused", "usage of this month keeps coming in; try again later")


class _Changed(Exception):
    """Usage came in after the archive was written."""


def _verified(app: App, month: date) -> tuple[Archive, Manifest]:
    """The month's archive, read back just now: the one that an earlier run left, or a new one. Raises MonthBusy."""
    owner = files.owner(app)
    with plan.of_month(app, month) as tx:
        found = store.under_way(tx, month)
        manifest = _again(app, found) if found else None
        if found and manifest:
            return found, manifest
        if found:
            _discard(app, tx, found, "it was not finished")
        folder = files.new_folder(app, owner, month)
        store.begin(tx, month, folder, app.operator(), app.clock())
    with plan.of_month(app, month) as tx:
        found = _mine(tx, month, folder)
        manifest, sha256 = files.write(app, tx, owner, month, folder)
        size, now = sum(one.bytes for one in manifest.objects), app.clock()
        store.verified(tx, found.id, manifest.events, len(manifest.objects), size, sha256, now)
        store.note(tx, month, "verified", manifest.events, folder, app.operator(), now)
        return _mine(tx, month, folder), manifest


def _mine(tx: Tx, month: date, folder: str) -> Archive:
    """Between two transactions somebody else may have begun anew. Raises MonthBusy."""
    found = store.under_way(tx, month)
    if found is None or found.location != folder:
        raise MonthBusy(month=rules.name(month))
    return found


def _again(app: App, found: Archive) -> Manifest | None:
    """The manifest of a verified archive of which everything is still as it was, else None."""
    if found.state != "verified":
        return None
    try:
        manifest = files.read_manifest(app, found.location, found.manifest_sha256)
        for piece in manifest.objects if manifest else ():
            files.verify(app, found.location, piece)
    except (ObjectMissing, ObjectDamaged) as error:
        log.warning("archive_damaged", location=found.location, error=error.message)
        return None
    return manifest


def _discard(app: App, tx: Tx, found: Archive, why: str) -> None:
    files.remove(app, found.location)
    store.abandoned(tx, found.id)
    store.note(tx, found.month, "abandoned", found.events, f"{found.location}: {why}", app.operator(), app.clock())
    log.warning("archive_abandoned", location=found.location, why=why)


def _drop(app: App, month: date, archive: Archive, manifest: Manifest) -> int | str:
    """Number of raw events that stay, or why all of them do. Raises _Changed, MonthBusy, LockTimeout."""
    with plan.of_month(app, month) as tx:
        kept = _empty(app, tx, _mine(tx, month, archive.location), manifest)
    if kept is None:
        with plan.of_month(app, month) as tx:
            _discard(app, tx, _mine(tx, month, archive.location), "usage of the month came in meanwhile")
        raise _Changed
    if isinstance(kept, int):
        log.warning("usage_archived", month=manifest.month, events=archive.events, kept=kept, location=archive.location)
    return kept


def _empty(app: App, tx: Tx, found: Archive, manifest: Manifest) -> int | str | None:
    """Step: drop what is archived, as `_drop` says; None where more than that is here."""
    month, now = found.month, app.clock()
    span, limit = rules.span(month), timedelta(seconds=app.settings.seconds("DB_LOCK_TIMEOUT"))
    recount.forget(tx)
    store.lock_month(tx, month, limit)
    if rules.sums_of(store.metered(tx, span)) != rules.sums_of(manifest.metrics):
        return None
    reasons = rules.obstacles(month, store.month_counts(tx, month, span), [], now, app.timezone)
    if reasons:
        return "; ".join(reasons)
    kept = store.empty_month(tx, month, plan.staying(app, tx, month), limit)
    store.dropped(tx, found.id, kept, now)
    store.note(tx, month, "dropped", found.events - kept, found.location, app.operator(), now)
    return kept


def drop_for_good(app: App, month: date) -> ArchivedMonth | None:
    """Drop a month's raw events without an archive: BILLING_USAGE_RETENTION_ARCHIVE=false asks for it."""
    seen = plan.look(app, month, uninvoiced=False)
    if not seen.leaving:
        return None
    one, span = Partition(month, 0), rules.span(month)
    limit = timedelta(seconds=app.settings.seconds("DB_LOCK_TIMEOUT"))
    with plan.of_month(app, month) as tx:
        found = store.under_way(tx, month)
        if found:
            return _row(one, seen, "refused", f"{found.location} is {found.state}: nself billing archive-usage --help")
        recount.forget(tx)
        store.lock_month(tx, month, limit)
        counts, actor, now = store.month_counts(tx, month, span), app.operator(), app.clock()
        reasons = seen.reasons or rules.obstacles(month, counts, [], now, app.timezone)
        if reasons:
            return _row(one, seen, "refused", "; ".join(reasons))
        kept = store.empty_month(tx, month, plan.staying(app, tx, month), limit)
        store.dropped_for_good(tx, month, counts.raw_events, kept, actor, now)
        store.note(tx, month, "dropped_for_good", counts.raw_events - kept, "", actor, now)
    log.warning("usage_dropped", month=rules.name(month), events=counts.raw_events - kept, actor=actor)
    return _row(one, seen, "dropped", "")
