"""Payments that wait in the queue are made once each, in order, whatever happened meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from money_bench import Bench
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import SafeMode
from nself.domains.connection.model import StillPending
from nself.domains.connection.service import intents
from nself.domains.invoice.inputs import Pay, Void
from nself.domains.invoice.service import finish
from nself.domains.payment.errors import QueueStopped
from nself.domains.payment.inputs import ListQueue, ProcessQueue, QueueFailures, VerifyQueue
from nself.domains.payment.model import ProcessedQueue, QueueEmptiness
from nself.domains.payment.service import queue
from paying import Till

QUEUE = {"BILLING_QUEUE_PAYMENTS": "true"}
CHARGE = "payment_intents$"


@pytest.fixture
def waiting(till: Till) -> Till:
    """Payments of its app wait."""
    till.app = till.bench.app(**QUEUE)
    return till


def drain(app: App, size: int = 100) -> ProcessedQueue:
    return queue.process(app, ProcessQueue(batch_size=size))


def verify(app: App) -> QueueEmptiness:
    return queue.verify(app, VerifyQueue())


def test_a_payment_waits_for_the_drain_and_is_made_once(waiting: Till) -> None:
    made = waiting.pay(idempotency_key="order-1")
    assert (made.status, made.amount_minor, made.created) == ("queued", 1000, True)
    assert "nself billing process-queue" in made.note
    again = waiting.pay(idempotency_key="order-1")
    assert (again.id, again.status, again.created) == (made.id, "queued", False)
    waiting.bench.work(waiting.bench.app())  # a worker, also one that was started before the setting
    assert waiting.charged() == []
    (row,) = queue.list_queue(waiting.app, ListQueue())
    assert (row.id, row.of, row.amount_minor, row.attempts) == (made.id, waiting.customer, 1000, 0)
    before = verify(waiting.app)
    assert (before.empty, before.queued, before.with_worker) == (False, 1, 0)
    assert before.oldest_at is not None
    assert drain(waiting.app).made == 1
    assert verify(waiting.app).empty
    assert waiting.pay(idempotency_key="order-1").status == "succeeded"
    assert waiting.charged() == [1000]


def test_nothing_is_asked_of_stripe_to_record_a_payment(waiting: Till) -> None:
    waiting.sandbox.fault(".*", method=".*", times=1000, drop=True)
    assert waiting.pay().status == "queued"
    assert waiting.sandbox.admin("faults")["faults"][0]["times"] == 1000
