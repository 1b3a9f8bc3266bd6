"""What an operator's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Severity = Literal["info", "warning", "critical"]


class BeginMaintenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: Annotated[str, Meta(description="What callers are told.", min_length=1, max_length=500)]
    until: Annotated[
        str | None,
        Meta(description="When it ends by itself: 2026-01-31T10:00, 2h.", extra={"metavar": "WHEN"}),
    ] = None


class EndMaintenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowMaintenance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class SendAlert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    severity: Annotated[Severity, Meta(description="How bad it is.")]
    message: Annotated[str, Meta(description="What the operators are told.", min_length=1, max_length=2000)]


class Execute(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    service: Annotated[str, Meta(description="A service or a group.", extra={"positional": True, "metavar": "SERVICE"})]
    command: Annotated[
        list[str],
        Meta(
            description="The program and its arguments.",
            min_length=1,
            extra={"positional": True, "metavar": "COMMAND...", "rest": True},
        ),
    ]
