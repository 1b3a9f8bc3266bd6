"""What the use cases of uptime take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ShowUptime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    start: Annotated[str | None, Meta(description="First day or instant; 30 days ago where it is left out.")] = None
    end: Annotated[str | None, Meta(description="Last day, all of it, or the first instant outside; else now.")] = None
    service: Annotated[str | None, Meta(description="Only this one, like http or database.")] = None
