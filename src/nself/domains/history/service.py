"""What happened to a customer, put together of what every domain keeps anyway."""

from __future__ import annotations

from operator import attrgetter

from nself.app import App
from nself.core import period
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.access import service as access
from nself.domains.customer import service as customer
from nself.domains.history import rules
from nself.domains.history.inputs import ShowHistory
from nself.domains.history.model import Happened
from nself.domains.mirror import service as mirror
from nself.domains.notification.service import outbox
from nself.domains.trail import service as trail


def timeline(app: App, given: ShowHistory) -> list[Happened]:
    """Newest first. Raises MissingParameter, NoSuchCustomer, NoSuchUser, InvalidParameter."""
    since, limit = period.since(given.since, app.clock(), app.timezone), given.limit
    if given.user:
        customer.require_user(app, given.user)
    with app.db.snapshot() as tx:
        id, user, email = _who(app, tx, given)
        changes = mirror.changes_of_customer(tx, id, since, limit) if id else []
        mails = outbox.mails_to(tx, email, since, limit) if email else []
        decided = access.decided(tx, user, limit) if user else []
        deeds = trail.deeds_about(tx, [one for one in (id, user) if one], since, limit)
    found = [
        *map(rules.changed, changes),
        *map(rules.mailed, mails),
        *(rules.decided(one) for one in decided if one.changed_at >= since),
        *map(rules.done, deeds),
    ]
    return sorted(found, key=attrgetter("at"), reverse=True)[:limit]


def _who(app: App, tx: Tx, given: ShowHistory) -> tuple[str | None, str | None, str | None]:
    """Customer, user and address, as far as there are any."""
    if given.user:
        id = customer.customers_of(tx, [given.user], app.settings.live).get(given.user)
        return id, given.user, customer.emails(tx, [given.user]).get(given.user)
    if not given.customer:
        raise MissingParameter("customer")
    found = customer.require_customer(tx, given.customer)
    return found.id, found.user, found.email
