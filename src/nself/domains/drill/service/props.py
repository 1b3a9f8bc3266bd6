"""`python -m nself.domains.drill.service.props KIND …`: a process that plays something of the world outside.

It says one line when it stands (a port where it listens) and stays until it is ended.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

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


KINDS: dict[str, Callable[..., None]] = {"reset": reset, "silent": silent, "untrusted": untrusted}


if __name__ == "__main__":
    KINDS[sys.argv[1]](*sys.argv[2:])
