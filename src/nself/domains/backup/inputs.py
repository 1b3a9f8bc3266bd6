"""What backups take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class BackupDatabase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to."""

    output: Annotated[
        str | None, Meta(description="The file; else one in .nself/backups.", extra={"metavar": "FILE"})
    ] = None


class RestoreDatabase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From where."""

    file: Annotated[str, Meta(description="What `db backup` wrote.", extra={"positional": True, "metavar": "FILE"})]
    yes: Annotated[bool, Meta(description="Do it; else only check the file and say what would be done.")] = False


class ForgetDatabase(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which."""

    name: Annotated[
        str, Meta(description="A database that a restore kept.", extra={"positional": True, "metavar": "NAME"})
    ]
    yes: Annotated[bool, Meta(description="Do it; its data are gone for good.")] = False
