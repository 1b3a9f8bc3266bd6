"""Requests over urllib3, which is loaded at the first one. Connections are kept; threads may share it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nself.client.errors import ServiceUnreachable
from nself.client.protocol import Answer, Request

if TYPE_CHECKING:
    from urllib3 import PoolManager

CONNECTIONS = 32
CONNECT_SECONDS = 5.0


class Transport:
    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._pool: PoolManager | None = None

    def send(self, request: Request, seconds: float) -> Answer:
        """One try, no redirects. Raises ServiceUnreachable."""
        from urllib3 import PoolManager, Timeout
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        if self._pool is None:
            self._pool = PoolManager(maxsize=CONNECTIONS, retries=False)
        try:
            answer = self._pool.request(
                "POST",
                self.url + request.path,
                body=request.body,
                headers=self._headers,
                redirect=False,
                timeout=Timeout(total=seconds, connect=min(seconds, CONNECT_SECONDS)),
            )
        except (HTTPError, OSError) as raised:
            error = ServiceUnreachable(url=self.url, detail=raised)
            error.lost = isinstance(raised, ReadTimeoutError)
            raise error from raised
        return Answer(answer.status, {name.lower(): text for name, text in answer.headers.items()}, answer.data)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.clear()

    def forget(self) -> None:
        """In a forked child: its parent's connections are not this process's to use."""
        self._pool = None
