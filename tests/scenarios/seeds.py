"""The seed of a test: a fresh one, CONVERGENCE_SEED, or that of its part in CONVERGENCE_SEEDS; told at the end of the session."""

from __future__ import annotations

import os
import secrets

import pytest


def seed_of_this_run(request: pytest.FixtureRequest, part: int = 0) -> int:
    """CI gives a seed for each part, so that what it says of a change is about the change; by hand they are fresh."""
    seeds = os.environ.get("CONVERGENCE_SEEDS", "").split()
    number = int(os.environ.get("CONVERGENCE_SEED") or (seeds[part] if part < len(seeds) else secrets.randbelow(2**32)))
    request.node.user_properties.append(("CONVERGENCE_SEED", number))
    return number
