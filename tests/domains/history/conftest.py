"""Fixtures of the money tests, and what is done at Stripe with subscriptions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes", "subscribing")

from money_bench import Bench  # noqa: E402
from money_fixtures import bench, sandbox  # noqa: E402

from subscribing import Shop  # noqa: E402
from telling import Mailbox, Receiver, mailbox, receiver, settings  # noqa: E402

__all__ = ["bench", "mailbox", "receiver", "sandbox"]


@pytest.fixture
def shop(bench: Bench, mailbox: Mailbox, receiver: Receiver) -> Shop:
    return Shop(bench, settings(mailbox, receiver))
