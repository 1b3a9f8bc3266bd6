"""What the catalog's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ListMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class CreatePrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    product: Annotated[str | None, Meta(description="Stripe's id of the product.")] = None
    product_name: Annotated[str, Meta(description="Instead: make a product of this name.", max_length=250)] | None = (
        None
    )
    amount: Annotated[int, Meta(description="In minor units (cents).", ge=0, le=99_999_999)]
    currency: Annotated[str | None, Meta(description="Three letters; BILLING_CURRENCY where it is left out.")] = None
    interval: Annotated[
        Literal["day", "week", "month", "year"] | None, Meta(description="Recurring; once where it is left out.")
    ] = None
    interval_count: Annotated[int, Meta(description="Every so many intervals.", ge=1, le=36)] = 1
    trial_days: (
        Annotated[int, Meta(description="Days of trial that subscriptions to it begin with.", ge=1, le=730)] | None
    ) = None
    plan: Annotated[
        Literal["free", "starter", "pro", "enterprise"] | None, Meta(description="Whose quotas its subscribers have.")
    ] = None
    nickname: Annotated[str, Meta(description="What you call it.", max_length=250)] | None = None


class ListPrices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    product: Annotated[str | None, Meta(description="Only of this product.")] = None
    all: Annotated[bool, Meta(description="Also those that are no longer active.")] = False
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class ShowPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    price: Annotated[str | None, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "PRICE"})] = (
        None
    )
    type: Annotated[
        Literal["overage"] | None, Meta(description="Instead of one price: those of services/billing/config.")
    ] = None
