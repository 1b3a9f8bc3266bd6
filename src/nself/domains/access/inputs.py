"""What the use cases of access take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

User = Annotated[str, Meta(description="The app's user.", min_length=1, max_length=255)]


class ShowAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User


class RevokeAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    reason: Annotated[str, Meta(description="Why, for whoever asks later.", min_length=1, max_length=500)] = "by hand"
    lasting: Annotated[str, Meta(description="For how long, 24h; for good where it is left out.")] | None = None


class GrantAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: User
    reason: Annotated[str, Meta(description="Why, for whoever asks later.", min_length=1, max_length=500)] = "by hand"
