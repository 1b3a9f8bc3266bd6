"""What the use cases of seeds take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RunSeeds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowSeeds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ClearSeeds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    confirm: Annotated[bool, Meta(description="Do it; without this only the plan is told.")] = False


class CreateTestData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customers: Annotated[int, Meta(description="How many customers.", ge=1, le=10_000)] = 10
    subscriptions: Annotated[int, Meta(description="How many subscriptions of theirs.", ge=0, le=10_000)] = 5
    invoices: Annotated[int, Meta(description="How many invoices of theirs.", ge=0, le=10_000)] = 20
    seed: (
        Annotated[
            int,
            Meta(description="The same seed makes the same objects, once; drawn if left out.", ge=0, le=999_999_999),
        ]
        | None
    ) = None
