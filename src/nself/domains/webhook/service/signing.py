"""Refused signatures that nothing has put right since."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nself.app import App
from nself.domains.webhook import store
from nself.domains.webhook.model import Refusal

SETTING = "STRIPE_WEBHOOK_SECRET"
OF_LATE = timedelta(hours=24)
OF_THE_SECRET = frozenset({"wrong_secret", "no_secret", "secret_not_escaped"})


def standing(app: App) -> dict[str, Refusal]:
    """By reason, with the newest event: refused since Stripe's last accepted delivery, and by the secret that is in force now."""
    with app.db.reading() as tx:
        found = store.standing_refusals(tx, app.clock() - OF_LATE)
    since = _in_force_since(app)
    return {one.reason: one for one in found if one.reason not in OF_THE_SECRET or one.refused_at > since}


def _in_force_since(app: App) -> datetime:
    """When the file that holds the secret was last written: what was refused before says nothing of it."""
    path = app.project.root / app.settings.value(SETTING).origin
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:  # from the environment
        return datetime.min.replace(tzinfo=UTC)
