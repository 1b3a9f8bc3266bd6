"""Fixtures of the fault tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from money_fixtures import bench, sandbox

__all__ = ["bench", "sandbox"]
