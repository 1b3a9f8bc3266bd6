"""What the usage of all users takes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ShowTotals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    metric: Annotated[str | None, Meta(description="Only this metric.")] = None
    period: Annotated[str | None, Meta(description="A month, 2026-01; this month where it is left out.")] = None
    month: Annotated[str | None, Meta(description="The same as --period.")] = None
    by: Annotated[
        Literal["hour", "day", "user", "dimension"] | None,
        Meta(
            description="One row an hour, a day, a user, or a value of each property that the metric's group_by names."
        ),
    ] = None
    group_by: Annotated[str | None, Meta(description="By dimension: only this property.")] = None
    late: Annotated[
        bool, Meta(description="Only hours or days with events that came after their hour was over and counted.")
    ] = False
    limit: Annotated[
        int, Meta(description="Most users or values of a property shown of each metric, largest first.", ge=1, le=1000)
    ] = 10
