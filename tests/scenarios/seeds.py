"""The seed of a run: a fresh one, or CONVERGENCE_SEED; told at the end of the session."""

from __future__ import annotations

import os
import secrets

import pytest


def seed_of_this_run(request: pytest.FixtureRequest) -> int:
    number = int(os.environ.get("CONVERGENCE_SEED", secrets.randbelow(2**32)))
    request.node.user_properties.append(("CONVERGENCE_SEED", number))
    return number
