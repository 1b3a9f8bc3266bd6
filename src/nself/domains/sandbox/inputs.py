"""What the sandbox's use cases take."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class RunDemo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    log: Annotated[
        str | None, Meta(description="A web server's access log (.gz too); generated traffic where it is left out.")
    ] = None
