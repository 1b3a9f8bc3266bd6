"""Ways into the archive: partitions, archiving, restoring, retention."""

from nself.core.entrypoint import Command, Row, Scheduled

ROWS: tuple[Row, ...] = (
    Command(
        path="db partition",
        use="archive.service.partitions:partition",
        input="archive.inputs:PartitionTable",
        help="Show the months of raw usage and what would be done: make those ahead, archive and drop old ones.",
        example="nself db partition billing_usage --by-month --keep-months 12",
        audited=True,
    ),
    Command(
        path="billing archive-usage",
        use="archive.service.archive:command",
        input="archive.inputs:ArchiveUsage",
        help="Send old months of raw usage to an S3-compatible store, read them back, then drop them here.",
        example='nself billing archive-usage --before "2025-01-01" --to-s3',
        aliases=("billing usage archive",),
        audited=True,
    ),
    Command(
        path="billing usage archives",
        use="archive.service.retention:archives",
        input="archive.inputs:ListArchives",
        help="Show what is in the archive, what of it is nowhere else, and whether it is as it was written.",
        example="nself billing usage archives --check",
    ),
    Command(
        path="billing usage restore",
        use="archive.service.restore:restore",
        input="archive.inputs:RestoreUsage",
        help="Bring raw usage back from the archive: what is missing is counted, what was counted is not again.",
        example="nself billing usage restore --user user123 --date 2026-01-15",
        audited=True,
    ),
    Scheduled(
        type="partitions",
        use="archive.service.partitions:scheduled",
        every="6h",
        help="Makes the partitions of the months to come.",
    ),
    Scheduled(
        type="usage_retention",
        use="archive.service.retention:scheduled",
        every="6h",
        help="Archives and drops raw usage that is older than BILLING_USAGE_RETENTION_DAYS.",
        long=True,
    ),
)
