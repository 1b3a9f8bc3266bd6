"""What the doctor takes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

CauseId = Annotated[
    str,
    Meta(
        description="A root cause: 1.1.4 is cause 4 of the guide's issue 1.1.",
        extra={"positional": True, "metavar": "CAUSE"},
    ),
]
Issues = (
    Annotated[
        str,
        Meta(
            description="Only the causes of this issue of the guide: 6.3, or 6 for all of its chapter, 6.3.1 for one.",
        ),
    ]
    | None
)


class Examine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issue: Issues = None
    symptom: Annotated[
        str | None, Meta(description='Only the causes of the issues that show like this: "usage not recorded".')
    ] = None
    watch: Annotated[bool, Meta(description="Look again and again, and tell what changed.")] = False
    interval: Annotated[str, Meta(description="Between two looks of --watch.")] = "10s"


class ListCauses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issue: Issues = None


class ExplainCause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cause: CauseId


class FixCause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cause: CauseId
    dry_run: Annotated[bool, Meta(description="Only show what would be done.")] = False
    yes: Annotated[bool, Meta(description="Needed where money is moved.")] = False
