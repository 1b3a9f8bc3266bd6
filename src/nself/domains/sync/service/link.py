"""Which user a customer belongs to: decided by us or by an operator, never by Stripe."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.customer import rules as customer_rules
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.customer.model import CreatedCustomer, CustomerIsDeleted
from nself.domains.quota.service import limits
from nself.domains.sync import store
from nself.domains.sync.inputs import LinkCustomer
from nself.domains.sync.model import Linked, OtherUser, UserHasCustomer
from nself.domains.sync.service import one as single


def create(app: App, given: CreateCustomer) -> CreatedCustomer:
    """A new customer at Stripe, or with `stripe_customer` one that is there. Raises as `customer.service.create` and `link`."""
    if given.stripe_customer is None:
        return customer.create(app, given)
    done = link(app, LinkCustomer(customer=given.stripe_customer, user=given.user))
    note = done.note or "imported from Stripe and linked"
    return CreatedCustomer(id=done.customer, user=done.user, email=done.email, created=False, note=note)


def link(app: App, given: LinkCustomer) -> Linked:
    """Fetch the customer and give it to the user. Raises NoSuchCustomer, CustomerIsDeleted, OtherUser, UserHasCustomer, MissingParameter."""
    if not customer_rules.is_name(given.user):
        raise customer_rules.bad_name(given.user)
    if given.force and not given.reason:
        raise MissingParameter("reason")
    single.refresh(app, "customer", given.customer, "link")
    live, actor, now = app.settings.live, app.operator(), app.clock()

    def work(tx: Tx) -> Linked:
        customer.add_users(tx, [given.user])
        customer.lock_user(tx, given.user)
        wanted, standing = customer.require_customer(tx, given.customer), customer.customers_of(tx, [given.user], live)
        if wanted.deleted:
            raise CustomerIsDeleted(customer=wanted.id)
        if wanted.user == given.user:
            store.record_link(tx, wanted.id, given.user, wanted.user, live, actor, given.reason, now)
            return Linked(
                customer=wanted.id,
                user=given.user,
                before=given.user,
                email=wanted.email,
                note="stands already, nothing changed",
            )
        if wanted.user and not given.force:
            raise OtherUser(customer=wanted.id, user=wanted.user, wanted=given.user)
        other = standing.get(given.user)
        if other and not given.force:
            raise UserHasCustomer(wanted=given.user, customer=other, given=wanted.id)
        customer.give(tx, wanted.id, given.user, live)
        limits.forget(tx, sorted({given.user, wanted.user or given.user}))
        store.record_link(tx, wanted.id, given.user, wanted.user, live, actor, given.reason, now)
        known = customer.emails(tx, [given.user]).get(given.user)
        note = f"the user's email is {known}, the customer's {wanted.email}" if known and known != wanted.email else ""
        return Linked(customer=wanted.id, user=given.user, before=wanted.user, email=wanted.email, note=note)

    done = app.db.transact(work)
    if done.before != done.user:
        log.info(
            "customer_linked",
            customer=done.customer,
            user=done.user,
            before=done.before,
            actor=actor,
            reason=given.reason,
        )
    return done
