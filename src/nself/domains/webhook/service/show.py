"""Looking at the events that Stripe sent."""

from __future__ import annotations

from nself.app import App
from nself.domains.webhook import store
from nself.domains.webhook.inputs import ListEvents, WebhookStatus
from nself.domains.webhook.model import ListedEvent, Status


def events(app: App, given: ListEvents) -> list[ListedEvent]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_events(tx, given.status, given.object, given.type, given.limit)


def status(app: App, given: WebhookStatus) -> Status:
    """Counts over all stored events."""
    with app.db.reading() as tx:
        return store.status(tx)
