"""Root causes of issue 1.4: the way to Stripe is broken. One walk tells which step of it fails."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from nself.app import App
from nself.core.steps import Step
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.connection.service import walk
from nself.gateway import guard, way

NO_ANSWER = "api_connection_error"
INTERCEPTED = "CERTIFICATE_VERIFY_FAILED"


class Broken(NamedTuple):
    """The step that failed on the way to `base`, through `proxy` or directly."""

    step: Step
    code: str | None
    base: str
    proxy: str | None


def _broken(look: Look) -> Broken | None:
    """None where the way is whole, never began for the key's sake, or ends on this machine (9.3)."""
    found = look.once(walk.walked)
    if not found.failed or found.failed.step == "key" or urlsplit(found.api_base).hostname in guard.LOOPBACK:
        return None
    return Broken(found.failed, found.code, found.api_base, _proxy(look.app))


def _proxy(app: App) -> str | None:
    return way.proxy(app.settings, guard.access(app.settings))


def firewall(look: Look) -> Evidence | None:
    found = _broken(look)
    if not found or found.proxy or found.step.step != "connect" or _no_network(found):
        return None
    return Evidence(f"{found.base} resolves, but connecting fails: {found.step.detail}")


def names(look: Look) -> Evidence | None:
    found = _broken(look)
    if not found or found.proxy or found.step.step != "resolve":
        return None
    return Evidence(f"The name in {found.base} does not resolve: {found.step.detail}")


def proxy(look: Look) -> Evidence | None:
    found = _broken(look)
    if not found or not found.proxy or not _on_the_way(found):
        return None
    place = way.place(found.proxy)
    return Evidence(f"Calls go through the proxy {place}, where step {found.step.step} fails: {found.step.detail}")


def _on_the_way(found: Broken) -> bool:
    return found.step.step in ("resolve", "connect", "proxy") or _cut(found)


def outage(look: Look) -> Evidence | None:
    found = _broken(look)
    if not found or found.proxy or not (_cut(found) or _no_network(found)):
        return None
    return Evidence(f"{found.base}: step {found.step.step} fails: {found.step.detail}")


def _cut(found: Broken) -> bool:
    """The connection stood and was lost."""
    if found.step.step == "tls":
        return INTERCEPTED not in found.step.detail
    return found.step.step == "answer" and found.code == NO_ANSWER


def _no_network(found: Broken) -> bool:
    return found.step.step == "connect" and any(word in found.step.detail for word in ("unreachable", "reset"))


TEST = "nself billing stripe test-connection"

CAUSES = (
    Cause(
        id="1.4.1",
        title="Firewall blocking outbound HTTPS",
        detect=firewall,
        explain=(
            "The name resolves, and connecting is refused or never answered: something between here and Stripe drops or rejects it. "
            "A machine without any network is told 'unreachable' (1.4.4), a dead resolver knows no address (1.4.2)."
        ),
        mend=(TEST, "nself restart billing"),
        elsewhere="The firewall of this machine or network: allow outbound TCP to api.stripe.com, port 443",
        needs=(),
    ),
    Cause(
        id="1.4.2",
        title="DNS resolution issues",
        detect=names,
        explain=(
            "No address is known for Stripe's name, so nothing can be sent: the resolver is away, or /etc/resolv.conf names a wrong "
            "one. The name that is asked for is that of STRIPE_API_BASE."
        ),
        mend=(TEST, "nself restart billing"),
        elsewhere="/etc/resolv.conf: name a resolver that answers, like 8.8.8.8; or correct STRIPE_API_BASE",
        needs=(),
    ),
    Cause(
        id="1.4.3",
        title="Proxy misconfiguration",
        detect=proxy,
        explain=(
            "Calls go through HTTPS_PROXY (HTTP_PROXY for plain HTTP), and it is the proxy that does not resolve, does not answer, "
            "refuses to connect to Stripe or cuts the connection. Without a proxy the same failures are 1.4.1, 1.4.2 or 1.4.4."
        ),
        mend=("nself env get HTTPS_PROXY", "nself env unset HTTPS_PROXY HTTP_PROXY", "nself restart billing", TEST),
        elsewhere="The proxy, or whoever runs it: its address, its login, and that it may connect to api.stripe.com:443",
        needs=(),
    ),
    Cause(
        id="1.4.4",
        title="Network outage",
        detect=outage,
        explain=(
            "There is no route to Stripe, or connections are taken and then cut before an answer came. A firewall lets no "
            "connection stand at all, which is 1.4.1. What was not answered is tried again by itself when the network is back."
        ),
        mend=(TEST, "nself restart billing"),
        elsewhere="The network of this machine, or whoever provides it; https://status.stripe.com tells of Stripe's own outages",
        needs=(),
    ),
)
