"""Serves a sandbox: in the foreground for the command, in a thread for tests."""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stripe_sandbox.app import ABORT, Sandbox
from stripe_sandbox.settings import Settings

_START_TIMEOUT = 10.0
_STOP_TIMEOUT = 10.0


class _Protocol(HttpToolsProtocol):
    """Gives the application the means to drop the connection without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        scope: Any = self.scope
        scope[ABORT] = self.transport.abort


def _config(settings: Settings, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        Sandbox(settings), host=host, port=port, http=_Protocol, ws="none", lifespan="on", loop="uvloop",
        log_level="warning", access_log=False, proxy_headers=False, timeout_graceful_shutdown=2, server_header=False,
    )  # fmt: skip


def serve(settings: Settings, host: str, port: int) -> None:
    """Until SIGTERM or SIGINT, which end it in order and with exit status 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)  # before uvicorn has its own handlers, and when it raises the signal again
    uvicorn.Server(_config(settings, host, port)).run()


def _exit(number: int, frame: object) -> None:
    sys.exit(0)


class _ThreadServer(uvicorn.Server):
    """Stops at once when it is told to, where uvicorn looks up only ten times a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 0.1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What is not answered yet never is: nobody waits for it."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self.lifespan.shutdown()

    def stop(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)


@dataclass(frozen=True)
class Running:
    url: str
    port: int


@contextmanager
def run_in_thread(settings: Settings | None = None) -> Generator[Running]:
    """A sandbox of this process on a free port of the loopback, for tests."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port: int = listener.getsockname()[1]
    server = _ThreadServer(_config(settings or Settings(), "127.0.0.1", port))
    ready = threading.Event()
    failures: list[BaseException] = []

    async def run() -> None:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.002)
        ready.set()
        await serving

    def target() -> None:
        try:
            with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
                runner.run(run())
        except BaseException as failure:
            failures.append(failure)
        finally:
            ready.set()

    thread = threading.Thread(target=target, name=f"stripe-sandbox-{port}", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_TIMEOUT) or not server.started:
            raise RuntimeError("the sandbox did not start") from (failures[0] if failures else None)
        yield Running(f"http://127.0.0.1:{port}", port)
    finally:
        server.stop()
        thread.join(_STOP_TIMEOUT)
        listener.close()
    if failures:
        raise RuntimeError("the sandbox failed") from failures[0]
