"""Fixtures of the process tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Stand, standing  # noqa: E402


@pytest.fixture
def stand() -> Iterator[Stand]:
    with standing() as found:
        yield found
