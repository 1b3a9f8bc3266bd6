"""Root causes of issue 1.2: signatures of webhooks are refused."""

from __future__ import annotations

from collections.abc import Sequence

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.webhook import rules
from nself.domains.webhook.service import endpoints, signing
from nself.gateway.api import Snapshot
from nself.gateway.errors import NoSuchObject

SECRET = signing.SETTING
MEND = (
    "nself billing webhook show-secret",
    "nself env set STRIPE_WEBHOOK_SECRET --stdin",
    "nself restart billing",
    "nself billing webhook test-signature",
)


def listed(app: App) -> list[Snapshot]:
    """All webhook endpoints at Stripe."""
    return list(app.stripe.listed("webhook_endpoints"))


def _rivals(look: Look) -> tuple[str, Sequence[str]]:
    """Where our endpoint sends, and other enabled ones that send there, but for one that a rotation is about to put in its place."""
    everything = look.once(listed)
    found = [one for one in everything if one["status"] == "enabled" and not endpoints.left(one, everything)]
    ours = endpoints.ours(look.app, found)
    return (str(ours["url"]) if ours else ""), endpoints.rivals(found, ours)


def wrong(look: Look) -> Evidence | None:
    """An event that Stripe really has was refused: strangers who post something tell nothing of our secret."""
    refused = look.once(signing.standing)
    found = refused.get("wrong_secret") or refused.get("no_secret")
    if not found or not found.event_id or _odd(look.app) or _rivals(look)[1] or not _real(look.app, found.event_id):
        return None
    return Evidence(
        f"{found.times} deliveries of Stripe were refused since the last that was taken, {found.event_id} at "
        f"{found.refused_at:%Y-%m-%dT%H:%M:%SZ}: no secret in {SECRET} made their signatures"
    )


def _real(app: App, event: str) -> bool:
    try:
        app.stripe.retrieve("events", event)
    except NoSuchObject:
        return False
    return True


def several(look: Look) -> Evidence | None:
    url, rivals = _rivals(look)
    return Evidence(f"{', '.join(rivals)} send to {url} too, each signing with a secret of its own") if rivals else None


def skewed(look: Look) -> Evidence | None:
    found = look.once(signing.standing).get("clock_skew")
    if not found:
        return None
    return Evidence(f"{found.times} rightly signed deliveries were refused: {rules.cause(found.reason, found.skew)}")


def escaped(look: Look) -> Evidence | None:
    odd = _odd(look.app)
    return Evidence(f"{SECRET} ({look.app.settings.value(SECRET).origin}): {odd}") if odd else None


def _odd(app: App) -> str:
    """What does not belong to a secret of ours; empty where all is well."""
    notes = map(rules.secret_note, app.settings.secrets(SECRET))
    return next((one for one in notes if one.startswith(rules.NOT_ESCAPED)), "")


CAUSES = (
    Cause(
        id="1.2.1",
        title="Wrong webhook secret",
        detect=wrong,
        explain=(
            "Stripe's event was refused, as none of our secrets made its signature: the secret at Stripe was rolled, or that of "
            "another endpoint stands here. Only one endpoint sends here (else 1.2.2), and the secret here is well formed (else 1.2.4)."
        ),
        mend=MEND,
        elsewhere="Stripe's Dashboard, Developers, Webhooks, the endpoint: its signing secret",
        needs=("database", "stripe"),
    ),
    Cause(
        id="1.2.2",
        title="Multiple webhook endpoints configured",
        detect=several,
        explain=(
            "Several endpoints at Stripe send to one address. Each signs with a secret of its own, so what comes from those whose "
            "secret is not here is refused, and what comes from the others comes several times."
        ),
        mend=("nself billing webhook list-endpoints",),
        elsewhere="Stripe's Dashboard, Developers, Webhooks: delete all but one of them",
        needs=("database", "stripe"),
    ),
    Cause(
        id="1.2.3",
        title="Clock skew between servers",
        detect=skewed,
        explain=(
            "The signatures are right, only their time is further from our clock than BILLING_WEBHOOK_SIGNATURE_TOLERANCE allows. "
            "A wrong clock or a proxy that holds requests back makes all deliveries look old."
        ),
        mend=("nself restart billing", "nself billing webhook test-signature"),
        elsewhere="The clock of this machine: date -u; sudo ntpdate -s time.nist.gov, or let chrony keep it",
    ),
    Cause(
        id="1.2.4",
        title="Secret not properly escaped",
        detect=escaped,
        explain=(
            "Quotes, blanks or backslashes came into the secret with a shell or an editor. They are part of what signatures are "
            "compared with, so none fits although the right secret stands between them."
        ),
        mend=MEND,
        needs=(),
    ),
)
