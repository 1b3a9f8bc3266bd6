"""Asks a PostgreSQL on a unix socket whether it takes connections: one millisecond, no driver."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import NamedTuple

PORT = 5432
PROTOCOL = 196608
CANNOT_CONNECT_NOW = "57P03"


class Answer(NamedTuple):
    """`ready`: a session was granted. Else why not, in PostgreSQL's or the system's words."""

    ready: bool
    detail: str = ""
    sqlstate: str = ""

    @property
    def alive(self) -> bool:
        """Something answers there, if only to say that it is starting, stopping or full."""
        return self.ready or bool(self.sqlstate)


def _startup(user: str, database: str) -> bytes:
    fields = {"user": user, "database": database, "application_name": "nself probe"}
    body = b"".join(f"{key}\0{value}\0".encode() for key, value in fields.items()) + b"\0"
    return struct.pack("!ii", len(body) + 8, PROTOCOL) + body


def _refusal(body: bytes) -> Answer:
    """Fields of an ErrorResponse: one letter, then text, each closed by a zero byte."""
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    return Answer(False, fields.get(b"M", "refused"), fields.get(b"C", "XX000"))


def _receive(link: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = link.recv(count - len(data))
        if not piece:
            raise ConnectionResetError("the connection was closed")
        data += piece
    return data


def probe(folder: Path, user: str, database: str, timeout: float = 5.0) -> Answer:
    """Try to open a session through the socket in `folder`; `timeout` in seconds. Never raises OSError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(timeout)
            link.connect(str(folder / f".s.PGSQL.{PORT}"))
            link.sendall(_startup(user, database))
            head = _receive(link, 5)
            size = struct.unpack("!i", head[1:])[0] - 4
            body = _receive(link, min(size, 8192))
            if head[:1] == b"R":
                link.sendall(b"X\0\0\0\x04")
                return Answer(True)
            return _refusal(body)
    except OSError as error:
        return Answer(False, str(error))
