"""What the use cases of notices take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class NotifyCustomer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    customer: Annotated[str, Meta(description="Who is told.")]
    template: Annotated[
        str,
        Meta(description="payment_failed, invoice, receipt, billing_error_apology or payment_processing_delayed."),
    ]
