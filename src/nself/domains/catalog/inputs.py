"""What the catalog's use cases take."""

from __future__ import annotations

import msgspec


class ListMetrics(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""
