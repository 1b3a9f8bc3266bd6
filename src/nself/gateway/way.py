"""The way to Stripe without its SDK: names, addresses, a proxy, TLS. Each function is one step and raises OSError."""

from __future__ import annotations

import base64
import socket
import ssl
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import certifi
import requests.utils

from nself.core.settings import Settings
from nself.gateway.guard import Access

MOST_HEAD = 16_384


class Place(NamedTuple):
    """A host and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Secured(NamedTuple):
    """TLS that was agreed on: its version, who vouches for the host, until when."""

    version: str
    issuer: str
    until: datetime


class ProxyRefused(OSError):
    """The proxy answered something else than 200."""


def place(address: str) -> Place:
    """Of an http or https address. Raises ValueError."""
    parts = urlsplit(address)
    if not parts.hostname:
        raise ValueError(f"{address} names no host")
    return Place(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


def proxy(settings: Settings, access: Access) -> str | None:
    """Address of the proxy that calls go through, or None."""
    found = settings.text("HTTPS_PROXY" if access.base.startswith("https:") else "HTTP_PROXY")
    exempt = requests.utils.should_bypass_proxies(access.base, settings.text("NO_PROXY") or None)
    return found if found and not access.loopback and not exempt else None


def resolve(where: Place) -> list[str]:
    """Its addresses. Raises OSError."""
    found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def reach(where: Place, timeout: float) -> socket.socket:
    """Connect to the first of its addresses that answers. Raises OSError."""
    return socket.create_connection(where, timeout)


def tunnel(link: socket.socket, proxy: str, where: Place) -> None:
    """Ask the proxy at the other end of `link` to connect to `where`. Raises OSError."""
    parts = urlsplit(proxy)
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
    more = f"Proxy-Authorization: Basic {base64.b64encode(login.encode()).decode()}\r\n" if login else ""
    link.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{more}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MOST_HEAD:
        piece = link.recv(4096)
        if not piece:
            break
        head += piece
    line = head.split(b"\r\n", 1)[0].decode(errors="replace")
    if line.split(" ")[1:2] != ["200"]:
        raise ProxyRefused(f"the proxy answered {line or 'nothing'}")


def secure(link: socket.socket, where: Place) -> Secured:
    """Agree on TLS and check the certificate. Raises ssl.SSLError, OSError."""
    context = ssl.create_default_context(cafile=certifi.where())
    with context.wrap_socket(link, server_hostname=where.host) as secured:
        certificate = secured.getpeercert() or {}
        names = {name: value for part in certificate.get("issuer", ()) for name, value in part}  # type: ignore[union-attr]
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        return Secured(secured.version() or "TLS", str(names.get("organizationName", "unknown")), until)
