"""`python -m nself.domains.drill.service.props KIND …`: a process that plays something of the world outside.

It says one line when it stands (a port where it listens) and stays until it is ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from typing import IO

from nself.app import App, Kind
from nself.config import find_project
from nself.domains.drill import store

NOTED = 5.0
"""Seconds in which a prop has to be noted."""
LINGER = struct.pack("ii", 1, 0)
"""Closing sends a reset."""


def listening(handle: Callable[[socket.socket], None], host: str = "127.0.0.1", port: str = "0") -> None:
    """Hands each connection to a port, by default one of its own, to `handle`."""
    server = socket.create_server((host, int(port)))
    print(server.getsockname()[1], flush=True)
    while True:
        link, _ = server.accept()
        Thread(target=handle, args=(link,), daemon=True).start()


def reset(*place: str) -> None:
    """Takes connections and resets each as soon as something is said: a network that breaks off."""

    def handle(link: socket.socket) -> None:
        link.recv(1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        link.close()

    listening(handle, *place)


def forward(host: str, port: str, to: str) -> None:
    """Passes everything on to a port of this machine: the way to the sandbox under another address."""

    def handle(link: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", int(to)))
        Thread(target=_pass, args=(far, link), daemon=True).start()
        _pass(link, far)

    listening(handle, host, port)


def _pass(source: socket.socket, target: socket.socket) -> None:
    """Until `source` ends."""
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


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

    listening(handle, port=port)


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


def untrusted() -> None:
    """Speaks TLS with a certificate that nobody but itself signed; made anew each time, by the openssl command."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=yourapp.com")
        subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        context.load_cert_chain(certificate, key)

    def handle(link: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(link, server_side=True) as secured:
            secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    listening(handle)


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


def fold_locks() -> None:
    """A session at the database that somebody left open inside a transaction."""
    with App.find(None, NoTable()).db.transaction() as tx:
        store.keep_fold_locks(tx)
        print("held", flush=True)
        Event().wait()


KINDS: dict[str, Callable[..., None]] = {
    "reset": reset,
    "silent": silent,
    "locking": locking,
    "working": working,
    "leaking": leaking,
    "forward": forward,
    "smtp": smtp,
    "untrusted": untrusted,
    "fold_locks": fold_locks,
}


def watched(pid: int) -> None:
    """Ends this process when nobody knows of it any more: the rehearsal was cleared, or killed before it was noted."""
    project = find_project(None, os.environ, Path.cwd())
    while True:
        store.pause(NOTED)
        known = store.planted(project)
        if known is None or pid not in {one.pid for one in known.props}:
            os._exit(0)


if __name__ == "__main__":
    Thread(target=watched, args=(os.getpid(),), daemon=True).start()
    KINDS[sys.argv[1]](*sys.argv[2:])
