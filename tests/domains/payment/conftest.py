"""Fixtures of the payment tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes", "paying")

from money_bench import Bench  # noqa: E402
from money_fixtures import bench, sandbox  # noqa: E402

from nself.domains.connection.service import intents  # noqa: E402
from paying import Till  # noqa: E402
from telling import Mailbox, Receiver, mailbox, receiver, settings  # noqa: E402

__all__ = ["bench", "mailbox", "receiver", "sandbox"]


@pytest.fixture
def till(bench: Bench) -> Till:
    return Till(bench)


@pytest.fixture
def telling(bench: Bench, mailbox: Mailbox, receiver: Receiver) -> Till:
    """Where users are mailed and programs are told."""
    return Till(bench, settings(mailbox, receiver))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that waits for Stripe gives up at once."""
    monkeypatch.setattr(intents, "PATIENCE", 0.1)
