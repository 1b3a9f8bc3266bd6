"""What the audit log is asked for."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ShowLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    since: Annotated[str, Meta(description="How far back: 24h, 7d, a date or a time.")] = "30d"
    incident: Annotated[str | None, Meta(description="Only what was done while this incident was open.")] = None
    verify: Annotated[bool, Meta(description="Instead: work the whole chain out again.")] = False
    head: Annotated[
        str | None,
        Meta(description="With --verify: number:hash that an earlier --verify printed and that was kept elsewhere."),
    ] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=10_000)] = 100
