"""What the use cases of customers take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class CreateCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[
        str, Meta(description="The app's user; made known here if it is new.", min_length=1, max_length=255)
    ]
    email: Annotated[str, Meta(description="Where Stripe sends invoices.", max_length=512)] | None = None
    stripe_customer: Annotated[
        str | None, Meta(description="A customer that is at Stripe (cus_…): imported and linked instead of made.")
    ] = None
    name: Annotated[str, Meta(description="Name on invoices.", max_length=256)] | None = None
    payment_method: (
        Annotated[
            str,
            Meta(
                description="A payment method of Stripe (pm_…) to attach and to charge by default.",
                pattern="^pm_[A-Za-z0-9_]+$",
            ),
        ]
        | None
    ) = None


class ShowCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "CUSTOMER"})]
    compare: Annotated[bool, Meta(description="Against Stripe, field by field.")] = False


class ListCustomers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str | None, Meta(description="Only the customer of this user.")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0)] = 0
