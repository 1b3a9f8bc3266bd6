"""Where endpoints lead, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from nself.core.hosts import LOOPBACK
from nself.core.settings import Settings
from nself.domains.connection.rules import WEBHOOK_PATHS
from nself.gateway.api import Snapshot


def from_stripe(settings: Settings, source: str) -> bool:
    """Whether an address is one of STRIPE_WEBHOOK_NETWORKS, or this machine's own where the sandbox sends the events."""
    try:
        address = ip_address(source)
    except ValueError:
        return False
    own = address.is_loopback and settings.flag("STRIPE_MOCK_ENABLED")
    return own or any(address in network for network in settings.networks("STRIPE_WEBHOOK_NETWORKS"))


def unusable(url: str) -> str:
    """Why nothing can be sent there; empty where something can."""
    try:
        parts = urlsplit(url)
        return "" if parts.hostname and parts.port != 0 else "it names no host or no port"
    except ValueError as error:
        return str(error)


def not_public(url: str) -> str:
    """Why Stripe cannot or must not send there in live mode; empty where it may."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https":
        return "live mode needs https"
    try:
        private = not ip_address(host).is_global
    except ValueError:
        private = "." not in host or host.endswith((".local", ".internal", ".localhost"))
    return f"{host} cannot be reached from outside" if private else ""


def same_place(one: str, other: str) -> bool:
    """Whether two URLs lead to the same receiver."""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, int | None, str]:
    parts = urlsplit(url)
    try:
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        port = None
    host, path = parts.hostname or "", parts.path.rstrip("/")
    return "127.0.0.1" if host in LOOPBACK else host, port, WEBHOOK_PATHS[0] if path in WEBHOOK_PATHS else path


def endpoint_note(one: Snapshot, others: Sequence[Snapshot], live: bool) -> str:
    """What is wrong with an endpoint at Stripe."""
    notes: list[str] = []
    if one["status"] != "enabled":
        notes.append("disabled: Stripe sends nothing here")
    rivals = [other["id"] for other in others if other["id"] != one["id"] and same_place(other["url"], one["url"])]
    if rivals:
        notes.append(
            f"same receiver as {', '.join(rivals)}: each signs with a secret of its own, and every event comes twice"
        )
    if live and not one["url"].startswith("https:"):
        notes.append("not https: anybody on the way can read it")
    return "; ".join(notes)
