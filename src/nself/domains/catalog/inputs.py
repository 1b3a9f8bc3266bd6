"""What the catalog's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ListMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ShowPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    price: Annotated[str | None, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "PRICE"})] = (
        None
    )
    type: Annotated[
        Literal["overage"] | None, Meta(description="Instead of one price: those of services/billing/config.")
    ] = None
