"""What the use cases of customers take."""

from __future__ import annotations

from typing import Annotated, Literal

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


Id = Annotated[str, Meta(description="Stripe's id.", extra={"positional": True, "metavar": "CUSTOMER"})]


class UpdateCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id
    email: (
        Annotated[str, Meta(description="Where invoices go; the user's address here becomes the same.", max_length=512)]
        | None
    ) = None
    name: Annotated[str, Meta(description="Name on invoices.", max_length=256)] | None = None
    phone: Annotated[str, Meta(description="Telephone.", max_length=20)] | None = None
    address_line1: Annotated[str, Meta(description="Street and number.", max_length=200)] | None = None
    address_line2: Annotated[str, Meta(description="More of it.", max_length=200)] | None = None
    address_city: Annotated[str, Meta(description="City.", max_length=200)] | None = None
    address_state: Annotated[str, Meta(description="State or province.", max_length=200)] | None = None
    address_postal_code: Annotated[str, Meta(description="Postal code.", max_length=32)] | None = None
    address_country: Annotated[str, Meta(description="Two letters (ISO 3166).", pattern="^[A-Za-z]{2}$")] | None = None
    tax_exempt: Annotated[Literal["none", "exempt", "reverse"] | None, Meta(description="Who owes the tax.")] = None
    locale: (
        Annotated[
            str,
            Meta(
                description="Language of invoices and mails, de or en-GB.",
                pattern="^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
            ),
        ]
        | None
    ) = None


class SetTaxId(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id
    type: Annotated[
        str, Meta(description="Stripe's name of it: eu_vat, us_ein, gb_vat, …", pattern="^[a-z]{2}_[a-z0-9_]{2,20}$")
    ]
    value: Annotated[str, Meta(description="The number.", min_length=2, max_length=50)]


class TrialEligibility(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Id


class OpenPortal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Stripe's id.")]
    return_url: Annotated[str, Meta(description="Where the customer goes afterwards.", max_length=2000)] | None = None


class ListCustomers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    user: Annotated[str | None, Meta(description="Only the customer of this user.")] = None
    search: Annotated[str | None, Meta(description="Only those with this in email, name, user or id, in any case.")] = (
        None
    )
    test_mode: Annotated[bool, Meta(description="Only those of test mode, whatever STRIPE_MODE says.")] = False
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100
    offset: Annotated[int, Meta(description="Rows to skip.", ge=0, le=1_000_000_000)] = 0
