"""What rehearsals take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from nself.domains.doctor.inputs import Issues

Yes = Annotated[bool, Meta(description="Needed: all local data of test mode are forgotten, before and after.")]


class ListDrills(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    issue: Issues = None


class PlantDrill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cause: Annotated[
        str,
        Meta(
            description="A root cause, or `random`: then nobody is told which.",
            extra={"positional": True, "metavar": "CAUSE"},
        ),
    ]
    yes: Yes = False


class CheckDrill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ClearDrill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    yes: Yes = False


class RunDrills(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cause: (
        Annotated[
            str,
            Meta(
                description="A root cause: 1.1.4 is cause 4 of the guide's issue 1.1; 1.1.4+6.1.1 are two at once.",
                extra={"positional": True, "metavar": "CAUSE"},
            ),
        ]
        | None
    ) = None
    issue: Issues = None
    all: Annotated[bool, Meta(description="Every root cause.")] = False
    part: (
        Annotated[
            str,
            Meta(
                pattern=r"^[1-9]\d?/[1-9]\d?$",
                description="Of those every Nth: 3/12 is the third of twelve parts.",
            ),
        ]
        | None
    ) = None
    pairs: Annotated[int, Meta(ge=1, le=10_000, description="So many random pairs, both planted at once.")] | None = (
        None
    )
    seed: Annotated[int, Meta(description="Of the random pairs.")] = 1
    yes: Yes = False
