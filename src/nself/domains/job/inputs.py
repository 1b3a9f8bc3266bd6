"""What the use cases of scheduled work take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ListJobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[
        Literal["queued", "running", "stuck", "failed", "succeeded", "cleared"] | None, Meta(description="Only these.")
    ] = None
    type: Annotated[str | None, Meta(description="Only this kind of work, like quota_reset.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class ClearJobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[Literal["stuck", "failed"], Meta(description="What to clear.")]
    type: Annotated[str | None, Meta(description="Only this kind of work, like quota_reset.")] = None


class ListOperations(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 20
