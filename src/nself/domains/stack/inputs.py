"""What the services' use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Names = Annotated[
    list[str],
    Meta(
        description="Services or groups, for example billing, postgres, stripe-mock.",
        extra={"positional": True, "metavar": "[SERVICE]..."},
    ),
]


class StartServices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which services should run."""

    services: Names = []


class StopServices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which services should end."""

    services: Names = []


class RestartServices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which services should start afresh; without a name all that should run."""

    services: Names = []


class ShowStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which services to show; without a name all."""

    services: Names = []


class ReadLogs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lines of which log."""

    service: Annotated[
        str,
        Meta(
            description="A service or a group.",
            extra={"positional": True, "metavar": "SERVICE"},
        ),
    ]
    tail: (
        Annotated[
            int,
            Meta(ge=0, description="Only the last N matching lines.", extra={"short": "-n", "metavar": "N"}),
        ]
        | None
    ) = None
    level: Annotated[
        Literal["debug", "info", "warning", "error"] | None,
        Meta(
            description="Only lines of this level or worse; lines without a level are kept.",
            extra={"short": "-l"},
        ),
    ] = None
    grep: Annotated[
        str | None,
        Meta(description="Only lines that match this regular expression.", extra={"metavar": "RE"}),
    ] = None
    since: Annotated[
        str | None,
        Meta(
            description="Only lines since a date, a time, or for so long: 2026-01-31, 2026-01-31T10:00, 2h.",
            extra={"metavar": "WHEN"},
        ),
    ] = None
    follow: Annotated[bool, Meta(description="Go on printing new lines.", extra={"short": "-f"})] = False
