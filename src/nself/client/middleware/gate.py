"""The client before an app: what it cannot decide or tell is logged, and never raised into the app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Generic

from nself.client.aio import AsyncClient
from nself.client.client import Reservation
from nself.client.middleware.rule import Request, Rule
from nself.client.model import Decision, Options
from nself.core.errors import BillingError

logger = logging.getLogger("nself.client")
FILTERED = "filtered"
"""How a commit is refused that the metric does not count."""


class Gate(Generic[Request]):
    """`timeout`: seconds a decision may take, repetitions included. `buffer` as the client's: there a commit waits for a service
    that is away.
    """

    def __init__(self, rule: Rule[Request], url: str, key: str, timeout: float, buffer: str | None) -> None:
        self.rule = rule
        options: Options = {"timeout": timeout} if buffer is None else {"timeout": timeout, "buffer": buffer}
        self.client = AsyncClient(url, key, **options)

    def decide(self, user: str, metric: str, value: int) -> Decision | None:
        """None where nobody can decide."""
        client = self.client.client
        with _logged(f"{self.rule.mode} of {metric}"):
            return (client.reserve if self.rule.mode == "reserve" else client.check)(user, metric, value)
        return None

    async def decide_async(self, user: str, metric: str, value: int) -> Decision | None:
        """As `decide`. Who is cancelled meanwhile holds nothing."""
        client = self.client
        with _logged(f"{self.rule.mode} of {metric}"):
            return await (client.reserve if self.rule.mode == "reserve" else client.check)(user, metric, value)
        return None

    def held(self, decision: Decision | None, value: int) -> Reservation | None:
        """What the request holds, `value` units, which the app may see and change."""
        if decision is None or decision.reservation is None:
            return None
        held = self.client.client.reservation(decision.user, decision.metric, value)
        held.opened(decision)
        return held

    def end(self, held: Reservation, request: Request, status: int) -> None:
        """Commit or release by the status; a commit waits in the buffer, a release that is not heard ends with the hold."""
        if not self.rule.counts(status):
            return held.given_back()
        held.properties = self.rule.properties(request, status, held.properties)
        with _logged(f"commit of {held.id}"):
            try:
                held.used()
            except BillingError as error:
                if error.code != FILTERED:
                    raise
                held.given_back()

    async def end_async(self, held: Reservation, request: Request, status: int) -> None:
        """As `end`, also where the caller is cancelled."""
        await asyncio.shield(self.client.call(self.end, held, request, status))


@contextmanager
def _logged(what: str) -> Generator[None]:
    try:
        yield
    except BillingError as error:
        logger.error("quota %s: %s: %s", what, error.code, error.message)
