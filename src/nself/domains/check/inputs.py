"""What the checks take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class ShowMode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TestChain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    __test__ = False

    use_mock: Annotated[bool, Meta(description="Needed: Stripe is the sandbox (service stripe-mock).")] = False
