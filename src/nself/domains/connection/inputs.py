"""What the connection's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ShowConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TestConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ListIntents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Annotated[Literal["pending", "failed"] | None, Meta(description="Only these.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
