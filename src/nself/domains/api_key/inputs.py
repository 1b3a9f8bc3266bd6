"""What the use cases of API keys take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class CreateApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key with a name for people and what it may do."""

    name: Annotated[str, Meta(description="What the key is for.", extra={"metavar": "N"})]
    scopes: Annotated[
        str,
        Meta(
            description="Comma separated: usage:write, usage:read, quota, invoice:read, invoice:write, subscription:read, subscription:write, payment:read, payment:write, admin.",
            extra={"metavar": "LIST"},
        ),
    ]
    user: (
        Annotated[
            str,
            Meta(
                description="Confine it to this user of the app: nothing of anybody else is seen or changed with it.",
                min_length=1,
                max_length=255,
            ),
        ]
        | None
    ) = None


class ListApiKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys."""

    all: Annotated[bool, Meta(description="Also revoked ones.")] = False
    limit: Annotated[int, Meta(description="Most keys to list.", ge=1, le=1000)] = 100
    after: Annotated[str | None, Meta(description="Go on behind the key with this id.", extra={"metavar": "ID"})] = None


class RevokeApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key."""

    id: Annotated[str, Meta(description="Its id.", extra={"positional": True, "metavar": "ID"})]
