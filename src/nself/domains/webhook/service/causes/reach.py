"""Root causes of issue 6.1: webhooks are not received."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.webhook.model import Check
from nself.domains.webhook.service import endpoints, reach
from nself.gateway.api import Snapshot

FIREWALL, TLS = ("firewall",), ("tls", "certificate", "expiry")


class Way(NamedTuple):
    """To our endpoint; `broken` is the step where it ends."""

    ours: Snapshot | None
    others: list[str]
    broken: Check | None


def way(app: App) -> Way:
    """Raises the gateway's errors."""
    found = list(app.stripe.listed("webhook_endpoints"))
    ours = endpoints.ours(app, found)
    if ours is None:
        return Way(None, [one["url"] for one in found], None)
    last = reach.way(ours["url"], app.clock())[-1]
    return Way(ours, [], None if last.ok else last)


def disabled(look: Look) -> Evidence | None:
    ours = look.once(way).ours
    if ours is None or ours["status"] == "enabled":
        return None
    return Evidence(
        f"{ours['id']} is {ours['status']} at Stripe: nothing is sent to {ours['url']}", {"url": ours["url"]}
    )


def unreachable(look: Look) -> Evidence | None:
    found = look.once(way)
    if found.ours is None and found.others and look.app.settings.secrets(endpoints.SETTING):
        return Evidence(
            f"no endpoint at Stripe leads here: it sends to {', '.join(found.others[:3])}",
            {"url": endpoints.receiver_url(look.app)},
        )
    return _at(found, lambda step: step not in FIREWALL + TLS)


def blocked(look: Look) -> Evidence | None:
    return _at(look.once(way), lambda step: step in FIREWALL)


def insecure(look: Look) -> Evidence | None:
    return _at(look.once(way), lambda step: step in TLS)


def _at(found: Way, mine: Callable[[str], bool]) -> Evidence | None:
    if found.ours is None or found.ours["status"] != "enabled" or found.broken is None or not mine(found.broken.step):
        return None
    url = found.ours["url"]
    return Evidence(f"{url}: {found.broken.detail}", {"url": url})


CAUSES = (
    Cause(
        id="6.1.1",
        title="Endpoint unreachable",
        detect=unreachable,
        explain=(
            "Stripe's endpoint names an address where our receiver does not answer: the name does not resolve, nothing listens "
            "on the port, or something else answers there. Events then come only with the next look at Stripe's list. "
            "What is dropped on the way is a firewall (6.1.2); what fails within TLS is the certificate (6.1.3)."
        ),
        mend=("nself billing webhook status", "nself restart billing"),
        needs=("database", "stripe"),
    ),
    Cause(
        id="6.1.2",
        title="Firewall blocking Stripe IPs",
        detect=blocked,
        explain=(
            "The address resolves, but what is sent to the port is dropped: nobody accepts and nobody refuses the connection, "
            "which is what a firewall looks like. A port where nothing listens refuses at once (6.1.1)."
        ),
        mend=("nself billing webhook status",),
        elsewhere="Firewall: let the addresses of https://stripe.com/docs/ips in on the endpoint's port.",
        needs=("database", "stripe"),
    ),
    Cause(
        id="6.1.3",
        title="SSL certificate invalid",
        detect=insecure,
        explain=(
            "The port is open, but TLS does not come about or its certificate is expired, of another name or of nobody whom "
            "Stripe trusts; Stripe then sends nothing. Where TLS stands and the answer is wrong, it is 6.1.1."
        ),
        mend=("nself billing webhook status",),
        elsewhere="Certificate authority: renew the certificate, and let the web server send its whole chain.",
        needs=("database", "stripe"),
    ),
    Cause(
        id="6.1.4",
        title="Endpoint disabled in Stripe",
        detect=disabled,
        explain=(
            "Somebody switched the endpoint off in the Dashboard, or Stripe did after days of failed deliveries: it sends nothing "
            "any more. Whether the way to it is open plays no part."
        ),
        mend=("nself billing webhook update-url {url}",),
        itself=True,
        elsewhere="Dashboard → Developers → Webhooks → [Endpoint] → Enable.",
        needs=("database", "stripe"),
    ),
)
