"""On whose behalf, and on which task, this thread works."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from typing import NamedTuple

cause: ContextVar[str | None] = ContextVar("cause", default=None)
"""`billing refund create by alice@host`: what wishes to call Stripe are recorded with; None: scheduled work."""


class Caller(NamedTuple):
    """The span of OpenTelemetry in which a program called; `sampled`: whether it keeps this trace."""

    trace: int
    span: int
    sampled: bool


class Task(NamedTuple):
    """A request, job, webhook event, mail or PDF; `span` is the task's own span of OpenTelemetry."""

    id: str
    span: int
    caller: Caller | None


task: ContextVar[Task | None] = ContextVar("task", default=None)
"""Each log line names it, and what is measured meanwhile is a part of its trace."""


def new_task(id: str, caller: Caller | None = None) -> Task:
    return Task(id, getrandbits(64) or 1, caller)


@contextmanager
def on(given: Task) -> Generator[None]:
    token = task.set(given)
    try:
        yield
    finally:
        task.reset(token)
