"""The stack's tests run on the stand-ins of the process tests."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "process"))

from harness import Stand, make_template, standing


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = make_template(tmp_path_factory.mktemp("template"))
    yield found
    shutil.rmtree(found.parent)


@pytest.fixture
def fresh() -> Iterator[Stand]:
    """A project that has never run anything."""
    with standing() as found:
        yield found


@pytest.fixture
def stand(template: Path) -> Iterator[Stand]:
    """A project whose database has been initialised."""
    with standing() as found:
        found.with_database(template)
        yield found
