"""What the use cases of webhooks take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ListEvents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Annotated[
        Literal["received", "processed", "failed", "failed_permanent", "duplicate", "ignored", "parked"] | None,
        Meta(description="Only these."),
    ] = None
    object: Annotated[str | None, Meta(description="Only events of this object (in_…, cus_…).")] = None
    type: Annotated[str | None, Meta(description="Only this type (invoice.paid).")] = None
    limit: Annotated[int, Meta(description="Most rows.", ge=1, le=1000)] = 100


class WebhookStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class ListEndpoints(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class TestSignature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


class UpdateUrl(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: Annotated[
        str,
        Meta(
            description="Where Stripe sends events.",
            extra={"positional": True, "metavar": "URL"},
            pattern=r"^https?://[^\s]+$",
        ),
    ]
