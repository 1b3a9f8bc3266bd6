"""What the connection's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ShowConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TestConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TestKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowRateLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    minutes: Annotated[int, Meta(description="How far back; an hour is kept.", ge=1, le=60)] = 10


class ListIntents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Annotated[Literal["pending", "failed"] | None, Meta(description="Only these.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
