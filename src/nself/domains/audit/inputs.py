"""What audits take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class AuditCustomers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    check_fraud: Annotated[bool, Meta(description="Also shared cards, tried cards, disputes, foreign cards.")] = False
    days: Annotated[int, Meta(description="How far back charges and disputes count.", ge=1, le=3650)] = 90
    limit: Annotated[int, Meta(description="Most rows of each rule.", ge=1, le=10_000)] = 100
