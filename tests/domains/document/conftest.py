"""Fixtures of the money tests, and invoices that are made at Stripe and read back from their PDF."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes", "billed")

from money_bench import Bench  # noqa: E402
from money_fixtures import bench, sandbox  # noqa: E402

from billed import Office  # noqa: E402

__all__ = ["bench", "sandbox"]


@pytest.fixture
def office(bench: Bench) -> Office:
    return Office(bench)
