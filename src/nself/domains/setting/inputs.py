"""What the settings' use cases take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class GetSetting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One setting."""

    name: Annotated[str, Meta(description="The setting.", extra={"positional": True, "metavar": "NAME"})]
    reveal: Annotated[bool, Meta(description="Print a secret in full.")] = False


class SetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New values."""

    assignments: Annotated[
        list[str],
        Meta(description="What to write.", extra={"positional": True, "metavar": "NAME=VALUE..."}),
    ]
    stdin: Annotated[bool, Meta(description="Read the value of the one NAME from standard input.")] = False


class ListSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which settings."""

    changed: Annotated[bool, Meta(description="Only those that are set somewhere.")] = False


class UnsetSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Names to forget."""

    names: Annotated[
        list[str],
        Meta(description="The settings.", extra={"positional": True, "metavar": "NAME..."}),
    ]
