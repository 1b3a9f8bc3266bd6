"""The client for asyncio: the same one, called in threads of its own (docs/decisions/0014)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, ParamSpec, TypeVar, Unpack

from nself.client.client import CLOSE_SECONDS, Client, Reservation
from nself.client.model import Decision, Options, Rejected, Status
from nself.client.transport import CONNECTIONS
from nself.core.errors import BillingError

P = ParamSpec("P")
R = TypeVar("R")


class AsyncClient:
    """As Client, with `await`. At most 32 calls are under way at once; others wait."""

    def __init__(self, url: str, key: str, **options: Unpack[Options]) -> None:
        self.client = Client(url, key, **options)
        """May be used beside it, in other threads."""
        self._quick = bool(options.get("fsync_interval"))
        self._threads: tuple[int, ThreadPoolExecutor] | None = None

    def __repr__(self) -> str:
        return f"AsyncClient({self.client.url!r})"

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def record(
        self,
        user: str,
        metric: str,
        value: int = 1,
        *,
        key: str | None = None,
        at: datetime | str | None = None,
        properties: dict[str, Any] | None = None,
    ) -> str:
        """As Client.record; without a wait for the disk (`fsync_interval`) it is done at once, without a thread."""
        record = partial(self.client.record, user, metric, value, key=key, at=at, properties=properties)
        return record() if self._quick else await self.call(record)

    async def flush(self, timeout: float = 30.0) -> bool:
        return await self.call(self.client.flush, timeout)

    async def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        done = await self.call(self.client.close, timeout)
        if self._threads and self._threads[0] == os.getpid():
            self._threads[1].shutdown(wait=False)
            self._threads = None
        return done

    def status(self) -> Status:
        return self.client.status()

    async def rejected(self) -> list[Rejected]:
        return await self.call(self.client.rejected)

    async def check(self, user: str, metric: str, value: int = 1) -> Decision:
        return await self.call(self.client.check, user, metric, value)

    async def reserve(self, user: str, metric: str, value: int = 1, *, key: str | None = None) -> Decision:
        """As Client.reserve; where the caller is cancelled meanwhile, what it reserved is given back."""
        asked = self._submit(partial(self.client.reserve, user, metric, value, key=key))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(self._give_back)
            raise

    async def commit(
        self, reservation: str, value: int | None = None, properties: dict[str, Any] | None = None
    ) -> Decision:
        return await self.call(self.client.commit, reservation, value, properties)

    async def release(self, reservation: str) -> Decision:
        return await self.call(self.client.release, reservation)

    def reservation(self, user: str, metric: str, value: int = 1) -> AsyncReservation:
        """`async with client.reservation(…) as held:`, as Client.reservation."""
        return AsyncReservation(self, user, metric, value)

    def _give_back(self, asked: asyncio.Future[Decision]) -> None:
        if not asked.cancelled() and asked.exception() is None and (id := asked.result().reservation):
            self._submit(_quietly, self.client.release, id)

    async def call(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Anything that would block, in one of the client's threads."""
        return await self._submit(work, *args, **kwargs)

    def _submit(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        if not self._threads or self._threads[0] != os.getpid():  # a forked child has none of its parent's threads
            self._threads = os.getpid(), ThreadPoolExecutor(CONNECTIONS, "nself.client.aio")
        return asyncio.get_running_loop().run_in_executor(self._threads[1], partial(work, *args, **kwargs))


class AsyncReservation(Reservation):
    """As Reservation, for `async with`."""

    def __init__(self, client: AsyncClient, user: str, metric: str, value: int) -> None:
        super().__init__(client.client, user, metric, value)
        self._asking = client

    async def __aenter__(self) -> AsyncReservation:
        self.opened(await self._asking.reserve(self.user, self.metric, self.value))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Shielded: a caller that is cancelled here must not lose what was used."""
        end = self.used if kind is None else self.given_back
        await asyncio.shield(self._asking.call(end))


def _quietly(work: Callable[[str], object], id: str) -> None:
    with suppress(BillingError):
        work(id)
