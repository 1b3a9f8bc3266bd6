"""Subscriptions as the mirror has them."""

from __future__ import annotations

from nself.app import App
from nself.core.entrypoint import Rows
from nself.domains.subscription import rules, store
from nself.domains.subscription.inputs import ListSubscriptions, ShowSubscription
from nself.domains.subscription.model import NoSuchSubscription, Payment, ShownSubscription, Subscription


def show(app: App, given: ShowSubscription) -> ShownSubscription:
    """Raises NoSuchSubscription."""
    with app.db.reading() as tx:
        found = store.by_id(tx, given.subscription)
        if found is None:
            raise NoSuchSubscription(subscription=given.subscription[:100])
        invoice = found.snapshot.get("latest_invoice")
        payment = store.payment(tx, invoice) if invoice else None
        asked = store.trial_asked(tx, found.id)
    return rules.shown(found, payment or Payment(), rules.trial_note(found.snapshot, asked, app.clock()))


def list_subscriptions(app: App, given: ListSubscriptions) -> list[Subscription]:
    """Newest first, of this project's mode; with `test_mode` of test mode, and how many others were left out."""
    live = app.settings.live and not given.test_mode
    with app.db.reading() as tx:
        rows = [rules.listed(one) for one in store.list_subscriptions(tx, given, live)]
        hidden = store.count_live(tx) if given.test_mode else 0
    return Rows(rows, [f"{hidden} subscriptions of live mode are not shown"] if given.test_mode else [])
