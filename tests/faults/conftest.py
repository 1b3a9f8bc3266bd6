"""Fixtures of the fault tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("metering_bench", "money_bench", "money_processes")

from metering_bench import cluster, postgres  # noqa: E402
from money_fixtures import bench, sandbox  # noqa: E402

__all__ = ["bench", "cluster", "postgres", "sandbox"]
