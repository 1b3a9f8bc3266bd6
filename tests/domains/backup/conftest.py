"""The money bench."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
from money_fixtures import bench, sandbox

__all__ = ["bench", "sandbox"]
