"""Cards that expire: told once each."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.customer import service as customer
from nself.domains.notice import rules, store
from nself.domains.notice.model import ExpiringCard
from nself.domains.notice.service.one import NOBODY
from nself.domains.notification.service import outbox

PAGE = 500


def tell_cards(app: App) -> str:
    """Tell whose card expires this month or the next while a subscription is charged to it, each card and expiry once."""
    if not outbox.listened(app):
        return ""
    after, count = "", 0
    while True:
        found = app.db.transact(lambda tx, after=after: _tell_page(app, tx, after))
        count += len(found)
        if len(found) < PAGE:
            break
        after = found[-1].id
    log.info("cards_expire", cards=count)
    return f"{count} cards expire this month or the next"


def _tell_page(app: App, tx: Tx, after: str) -> list[ExpiringCard]:
    months = rules.expiring(app.clock().astimezone(app.timezone))
    found = store.expiring_cards(tx, app.settings.live, months, after, PAGE)
    owners = customer.owners(tx, [one.customer for one in found])
    outbox.post(app, tx, [rules.card_note(one, owners.get(one.customer, NOBODY)) for one in found], app.clock())
    return found
