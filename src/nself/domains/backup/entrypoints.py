"""Ways to save the database and to bring it back."""

from nself.core.entrypoint import Command, Row

ROWS: tuple[Row, ...] = (
    Command(
        path="db backup",
        use="backup.service.backup:backup",
        input="backup.inputs:BackupDatabase",
        help="Write the whole database to a private file with its checksum and figures, and read it back; services go on.",
        example="nself db backup",
    ),
    Command(
        path="db restore",
        use="backup.service.restore:restore",
        input="backup.inputs:RestoreDatabase",
        help="Check a backup; with --yes put it in the place of the database, which is kept under another name.",
        example="nself db restore .nself/backups/nself-20260115T100000Z.dump --yes",
    ),
    Command(
        path="db forget",
        use="backup.service.restore:forget",
        input="backup.inputs:ForgetDatabase",
        help="Drop a database that a restore kept.",
        example="nself db forget nself_before_20260115_100000_000000 --yes",
        audited=True,
    ),
)
