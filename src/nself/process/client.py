"""Talks to supervisord: XML-RPC over its unix socket, 2 ms a call."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast
from xml.parsers.expat import ExpatError

RPC_SECONDS = 15.0


class Gone(Exception):
    """No supervisord answers."""


class State(NamedTuple):
    """One process as supervisord sees it. `started_at` in seconds since 1970, 0 where never."""

    name: str
    state: str
    pid: int
    started_at: int
    detail: str

    @property
    def settled_down(self) -> bool:
        """Neither running nor about to run."""
        return self.state in {"STOPPED", "EXITED", "FATAL"}


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=RPC_SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class _Transport(xmlrpc.client.Transport):
    """One connection a call, closed with the call."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.connection = _Connection(path)

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return self.connection

    def close(self) -> None:
        self.connection.close()


class Client:
    def __init__(self, path: Path) -> None:
        self.path = path

    def _call(self, method: str, *args: object) -> object:
        proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(self.path))
        try:
            with proxy:
                return getattr(proxy.supervisor, method)(*args)
        except (
            OSError,
            http.client.HTTPException,
            xmlrpc.client.Error,
            ExpatError,
        ) as error:  # the last: half an answer
            raise Gone(str(error)) from error

    def states(self) -> dict[str, State]:
        """By service name. Raises Gone."""
        found = cast("list[Mapping[str, Any]]", self._call("getAllProcessInfo"))
        return {
            one["name"]: State(
                one["name"], one["statename"], one["pid"], one["start"], one["spawnerr"] or one["description"]
            )
            for one in found
        }

    def nudge(self) -> None:
        """Read the configuration again and look at what is wanted, now. Raises Gone."""
        self._call("reloadConfig")

    def shutdown(self) -> None:
        """Ask supervisord to stop everything and end; returns at once. Raises Gone."""
        self._call("shutdown")
