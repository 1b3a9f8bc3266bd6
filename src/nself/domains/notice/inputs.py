"""What the use cases of notices take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class NotifyCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Who is told.")]
    template: Annotated[
        str,
        Meta(description="payment_failed, invoice, receipt, billing_error_apology or payment_processing_delayed."),
    ]


class NotifyCustomers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    template: Annotated[
        Literal["billing_error_apology", "payment_processing_delayed"], Meta(description="What is mailed.")
    ]
    customers: Annotated[
        str | None,
        Meta(
            description="CSV with a column customer; amount and currency, where it has them, are told. `audit charges --output` makes one.",
            extra={"metavar": "FILE"},
        ),
    ] = None
    all_active: Annotated[bool, Meta(description="Instead: everybody with a subscription that is not over.")] = False
    incident: Annotated[
        str | None, Meta(description="Each is told once about it; else the open one, without one once a day.")
    ] = None
    yes: Annotated[bool, Meta(description="Do it. In test mode that is the default.")] = False
    dry_run: Annotated[bool, Meta(description="Only count, in test mode too.")] = False
