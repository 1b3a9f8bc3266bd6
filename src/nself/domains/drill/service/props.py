"""`python -m nself.domains.drill.service.props KIND …`: a process that plays something of the world outside.

It says one line when it stands (a port where it listens) and stays until it is ended.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Thread

from nself.app import App, Kind
from nself.domains.drill import store

LINGER = struct.pack("ii", 1, 0)
"""Closing sends a reset."""


def listening(handle: Callable[[socket.socket], None]) -> None:
    """Hands each connection to a port of its own to `handle`."""
    server = socket.create_server(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    while True:
        link, _ = server.accept()
        Thread(target=handle, args=(link,), daemon=True).start()


def reset() -> None:
    """Takes connections and resets them: a network that breaks off."""

    def handle(link: socket.socket) -> None:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        link.close()

    listening(handle)


def silent() -> None:
    """Takes no connection: its queue is full, so that whoever connects waits as before a firewall that drops."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    place = server.getsockname()
    held = [socket.socket() for _ in range(4)]
    for one in held:
        one.setblocking(False)
        one.connect_ex(place)
    print(place[1], flush=True)
    Event().wait()


class NoTable:
    """A prop calls no entry point."""

    def rows(self, kind: type[Kind]) -> tuple[Kind, ...]:
        return ()

    def resolve(self, reference: str) -> object:
        raise LookupError(reference)


def locking() -> None:
    """A session that was left open with a lock on the counters of quotas."""
    app = App.find(None, NoTable())
    with app.db.transaction() as tx:
        store.lock_counters(tx)
        print("locked", flush=True)
        Event().wait()


def working() -> None:
    """A session whose statement computes without end."""
    with App.find(None, NoTable()).db.transaction() as tx:
        print("works", flush=True)
        store.work_long(tx)


def leaking(count: str) -> None:
    """A program that opens transactions and never ends them."""
    app = App.find(None, NoTable())
    with ExitStack() as held:
        for _ in range(int(count)):
            store.glance(held.enter_context(app.db.transaction()))
        print("leaks", flush=True)
        Event().wait()


KINDS: dict[str, Callable[..., None]] = {
    "reset": reset, "silent": silent, "locking": locking, "working": working, "leaking": leaking,
}  # fmt: skip


if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
