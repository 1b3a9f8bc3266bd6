"""`python -m nself.domains.drill.service.props KIND …`: a process that plays something of the world outside.

It says one line when it stands (a port where it listens) and stays until it is ended.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from threading import Event, Thread
from typing import IO

LINGER = struct.pack("ii", 1, 0)
"""Closing sends a reset."""


def listening(handle: Callable[[socket.socket], None], port: int = 0) -> None:
    """Hands each connection to a port of its own, or to `port`, to `handle`."""
    server = socket.create_server(("127.0.0.1", port))
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


def smtp(port: str, answer: str, address: str = "", refusal: str = "") -> None:
    """A mail server that gives each recipient `answer`, and `address` the `refusal`; 0 is any free port."""

    def handle(link: socket.socket) -> None:
        with link, link.makefile("rw", encoding="utf-8", newline="\r\n") as lines:
            _mail(lines, lambda line: refusal if address and address in line else answer)

    listening(handle, int(port))


def _mail(lines: IO[str], judged: Callable[[str], str]) -> None:
    def say(text: str) -> None:
        lines.write(f"{text}\n")
        lines.flush()

    say("220 mail.example.com")
    while line := lines.readline():
        verb = line[:4].upper()
        if verb == "RCPT":
            say(judged(line))
        elif verb == "DATA":
            say("354 go on")
            while lines.readline().rstrip("\r\n") != ".":
                pass
            say("250 2.0.0 taken")
        else:
            say("221 bye" if verb == "QUIT" else "250 ok")


KINDS: dict[str, Callable[..., None]] = {"reset": reset, "silent": silent, "smtp": smtp}


if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
