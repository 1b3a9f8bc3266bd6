"""`python -m nself.domains.drill.service.props KIND …`: a process that plays something of the world outside.

It says one line when it stands (a port where it listens) and stays until it is ended.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from threading import Event, Thread

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


def fold_locks(conninfo: str) -> None:
    """A session at the database that somebody left open inside a transaction."""
    link = store.keep_fold_locks(conninfo)
    print("held", flush=True)
    Event().wait()
    link.close()


KINDS: dict[str, Callable[..., None]] = {"reset": reset, "silent": silent, "fold_locks": fold_locks}


if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
