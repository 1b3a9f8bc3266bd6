"""The money tests' bench, with a clock that goes with the sandbox's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
pytest.register_assert_rewrite("money_bench", "subscribing")

from money_bench import Bench  # noqa: E402
from money_fixtures import bench, sandbox  # noqa: E402

from subscribing import Shop  # noqa: E402

__all__ = ["bench", "sandbox"]


@pytest.fixture
def shop(bench: Bench) -> Shop:
    return Shop(bench, {})
