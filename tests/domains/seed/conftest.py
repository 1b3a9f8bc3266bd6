"""Fixtures of the money tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes")

from money_fixtures import bench, sandbox  # noqa: E402

__all__ = ["bench", "sandbox"]
