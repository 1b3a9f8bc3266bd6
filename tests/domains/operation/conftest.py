"""A project without services: what operators do works with everything away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from commanding import Commands, commanding
from telling import mailbox, receiver

__all__ = ["mailbox", "receiver"]


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with commanding() as made:
        yield made
