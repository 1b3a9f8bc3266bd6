"""What links to users' pages take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class CreatePageLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(description="Whose page it is.")]
    lives: Annotated[str, Meta(description="How long it works: 15m, 24h, 30d (90d at most).")] = "24h"


class RevokePageLinks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str, Meta(description="Whose links end.")]
