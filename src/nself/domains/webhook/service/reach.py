"""The way to an endpoint, step by step, as far as it can be seen from this machine: DNS, TCP, TLS, certificate, expiry, HTTP."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from nself.domains.webhook.model import Check

SECONDS = 5.0
FEW_DAYS = 14
EXPIRED = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED."""


def way(url: str, now: datetime) -> list[Check]:
    """Up to the first step that fails; each within a few seconds."""
    parts = urlsplit(url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    found = [_dns(host, port)]
    if found[-1].ok:
        found.append(_tcp(host, port))
    passable = found[-1].ok
    if passable and secure:
        shown, passable = _tls(host, port, now)
        found += shown
    if passable:
        found.append(_http(host, port, parts.path or "/", secure))
    return found


def _dns(host: str, port: int) -> Check:
    """In a thread: a resolver without a network may take its time."""
    answers: list[str] = []
    errors: list[OSError] = []

    def ask() -> None:
        try:
            answers.extend(sorted({str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}))
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if answers:
        return Check("dns", True, f"{host} is {', '.join(answers)}")
    reason = errors[0].strerror if errors else f"no answer within {SECONDS:g} s"
    return Check("dns", False, f"{host} does not resolve: {reason}")


def _tcp(host: str, port: int) -> Check:
    try:
        socket.create_connection((host, port), SECONDS).close()
    except ConnectionRefusedError:
        return Check("tcp", False, f"port {port} refuses: nothing listens there")
    except TimeoutError:
        return Check("firewall", False, f"port {port} does not answer: a firewall drops it")
    except OSError as error:
        return Check("tcp", False, f"port {port}: {error.strerror or error}")
    return Check("tcp", True, f"port {port} is open")


def _tls(host: str, port: int, now: datetime) -> tuple[list[Check], bool]:
    """And whether Stripe gets any further: a certificate that ends soon still does."""
    try:
        with (
            socket.create_connection((host, port), SECONDS) as link,
            ssl.create_default_context().wrap_socket(link, server_hostname=host) as secured,
        ):
            version, certificate = secured.version(), secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        step = "expiry" if error.verify_code == EXPIRED else "certificate"
        return [Check("tls", True, "spoken"), Check(step, False, f"not valid: {error.verify_message}")], False
    except (ssl.SSLError, OSError) as error:
        return [Check("tls", False, f"no TLS on port {port}: {error.strerror or error}")], False
    return [
        Check("tls", True, str(version)),
        Check("certificate", True, f"for {host}"),
        _expiry(certificate, now),
    ], True


def _expiry(found: dict[str, Any], now: datetime) -> Check:
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), UTC)
    days = (until - now).days
    return Check("expiry", days >= FEW_DAYS, f"valid until {until:%Y-%m-%d}, {days} days")


def _http(host: str, port: int, path: str, secure: bool) -> Check:
    link = (HTTPSConnection if secure else HTTPConnection)(host, port, timeout=SECONDS)
    try:
        link.request("HEAD", path)
        status = link.getresponse().status
    except (OSError, HTTPException) as error:
        return Check("http", False, f"no HTTP answer: {error}")
    finally:
        link.close()
    if status == 200:
        return Check("http", True, "HEAD is answered with 200")
    why = "it redirects, which Stripe counts as a failure" if 300 <= status < 400 else "this is not our receiver"
    if status >= 500:
        why = "the service, or what stands before it, is broken"
    return Check("http", False, f"HEAD is answered with {status}: {why}")
