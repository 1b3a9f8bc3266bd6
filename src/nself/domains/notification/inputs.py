"""What the use cases of notifications take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ListNotifications(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    state: Annotated[Literal["queued", "sent", "failed"] | None, Meta(description="Only those.")] = None
    channel: Annotated[Literal["mail", "webhook"] | None, Meta(description="Only those.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 50


class RetryNotification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(description="The notification.", extra={"positional": True, "metavar": "ID"})]
