"""The seed of a test: a fresh one, CONVERGENCE_SEED, or that of its part in CONVERGENCE_SERIES; told at the end of the session."""

from __future__ import annotations

import os
import secrets
from random import Random

import pytest


def seed_of_this_run(request: pytest.FixtureRequest, part: int = 0) -> int:
    """CI names a series, so that what it says of a change is about the change; by hand each run is another one."""
    series = os.environ.get("CONVERGENCE_SERIES")
    drawn = Random(f"{series} {part}").getrandbits(32) if series else secrets.randbelow(2**32)
    number = int(os.environ.get("CONVERGENCE_SEED") or drawn)
    request.node.user_properties.append(("CONVERGENCE_SEED", number))
    return number
