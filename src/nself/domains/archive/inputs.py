"""What the archive's use cases take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class PartitionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    table: Annotated[str, Meta(description="billing_usage.", extra={"positional": True, "metavar": "TABLE"})]
    by_month: Annotated[bool, Meta(description="A partition a month: the only way there is.")] = False
    keep_months: (
        Annotated[int, Meta(description="Archive what is older than this many months, then drop it.", ge=1, le=1200)]
        | None
    ) = None
    execute: Annotated[bool, Meta(description="Do it; else only say what would be done.")] = False


class ArchiveUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    before: Annotated[str, Meta(description="Whole months (UTC) that end by this day, like 2025-01-01.")]
    to_s3: Annotated[bool, Meta(description="To the bucket ARCHIVE_S3_BUCKET; needed with --execute.")] = False
    uninvoiced: Annotated[
        bool,
        Meta(description="Also months with overage that no invoice bills; it can be billed later, from the rollups."),
    ] = False
    execute: Annotated[bool, Meta(description="Do it; else only say what would be done.")] = False


class ListArchives(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    month: Annotated[str | None, Meta(description="Only this month, 2024-12.")] = None
    check: Annotated[bool, Meta(description="Read everything in the archive and compare it with its checksums.")] = (
        False
    )


class RestoreUsage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str | None, Meta(description="Only events of this user.", extra={"metavar": "USER"})] = None
    date: Annotated[str | None, Meta(description="Events of this day, 2026-01-15.")] = None
    month: Annotated[str | None, Meta(description="Events of this month, 2026-01.")] = None
    owner: Annotated[
        str | None,
        Meta(
            description="Take archives of another database, which `usage archives` names: after this one was made anew."
        ),
    ] = None
    invoiced: Annotated[
        bool,
        Meta(
            description="Count what was lost also where it is invoiced already: the next invoice bills the difference."
        ),
    ] = False
    execute: Annotated[bool, Meta(description="Do it; else only say what would be done.")] = False
