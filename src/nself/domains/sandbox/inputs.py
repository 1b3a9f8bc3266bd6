"""What the sandbox's use cases take."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class RunDemo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    log: Annotated[
        str | None, Meta(description="A web server's access log (.gz too); generated traffic where it is left out.")
    ] = None


class ResetSandbox(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    fixtures: Annotated[
        Literal["guide"] | None,
        Meta(
            description="guide: cus_123, sub_123, in_123, user123 and the other ids of the troubleshooting guide, and the settings and services that its lines expect."
        ),
    ] = None
    yes: Annotated[bool, Meta(description="Needed: all local data of test mode are forgotten.")] = False
