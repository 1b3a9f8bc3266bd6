"""Scenarios use the bench of the money tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes")
