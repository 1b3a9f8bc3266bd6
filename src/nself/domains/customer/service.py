"""Customers at Stripe, and the users they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.connection.model import Intent, Snapshot, Wish, operation_name
from nself.domains.connection.rules import marked, user_of, with_mark
from nself.domains.connection.service import intents
from nself.domains.customer import rules, store
from nself.domains.customer.inputs import CreateCustomer, ListCustomers, ShowCustomer
from nself.domains.customer.model import (
    BadEmail,
    CreatedCustomer,
    Customer,
    CustomerGone,
    NoSuchCustomer,
    NoSuchUser,
    OtherCustomer,
    Owner,
)
from nself.domains.mirror.model import Change, Picture
from nself.gateway.api import Stripe

KNOWN_SECONDS = 30
MAX_KNOWN = 200_000
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")

_known: dict[str, dict[str, float]] = {}
"""Until when a user of a database is known to exist."""


def emails(tx: Tx, users: Sequence[str]) -> dict[str, str]:
    """Step: the addresses of those who have one."""
    return store.emails(tx, users)


def known_users(app: App, users: set[str]) -> set[str]:
    """Those of `users` that exist. A hit is remembered for half a minute, a miss never."""
    now, known = monotonic(), _known.setdefault(app.db.conninfo, {})
    fresh = {user for user in users if known.get(user, 0) > now}
    asked = users - fresh
    if not asked:
        return fresh
    with app.db.reading() as tx:
        found = set(store.known_users(tx, sorted(asked)))
    if len(known) > MAX_KNOWN:
        known.clear()
    known.update(dict.fromkeys(found, now + KNOWN_SECONDS))
    return fresh | found


def require_user(app: App, user: str) -> None:
    """Raises NoSuchUser, InvalidParameter where nobody can be called so."""
    if not known_users(app, {user}):
        raise NoSuchUser(user=user) if rules.is_name(user) else rules.bad_name(user)


def create_users(app: App, users: Mapping[str, str | None]) -> int:
    """Make users known, with their email where there is one; number of those that were new."""
    wanted = sorted(users)
    if not wanted:
        return 0
    with app.db.transaction() as tx:
        return store.add_users(tx, wanted, [users[user] for user in wanted])


def create(app: App, given: CreateCustomer) -> CreatedCustomer:
    """Give `user` a customer at Stripe; the same pair again changes nothing.

    Raises BadEmail, OtherCustomer, and what Stripe refuses.
    """
    if not rules.is_name(given.user):
        raise rules.bad_name(given.user)
    if given.email is None:
        raise MissingParameter("email")
    if not EMAIL.fullmatch(given.email):
        raise BadEmail(email=given.email)
    livemode = app.settings.live
    app.stripe  # noqa: B018  refuse before anything is written where key, mode and host disagree
    with app.db.reading() as tx:
        standing = store.of_user(tx, given.user, livemode)
    made = standing or _create(app, given, livemode)
    if made.email != given.email:
        raise OtherCustomer(user=given.user, customer=made.id, email=made.email)
    note = "stands already, nothing changed" if standing else "created at Stripe"
    return CreatedCustomer(id=made.id, user=given.user, email=made.email, created=standing is None, note=note)


def _create(app: App, given: CreateCustomer, livemode: bool) -> Customer:
    """The user's customer, which somebody else may have asked for first."""
    intents.drive_one(app, app.db.transact(lambda tx: plan_create(tx, [given], livemode))[0])
    with app.db.reading() as tx:
        made = store.of_user(tx, given.user, livemode)
    if made is None:
        raise CustomerGone(user=given.user, email=given.email)
    return made


def create_many(app: App, given: Sequence[CreateCustomer]) -> None:
    """Give many users a customer each. Raises what Stripe refused first, StillPending."""
    livemode = app.settings.live
    operations = app.db.transact(lambda tx: plan_create(tx, given, livemode))
    for end in intents.drive(app, operations):
        if end.state == "failed":
            raise intents.refusal(end)


def plan_create(tx: Tx, given: Sequence[CreateCustomer], livemode: bool) -> list[str]:
    """Step: record the wish for customers, one a user; the operations to be driven.

    An operation is named after the user and the number of its deleted customers, so that each is made once.
    """
    given = sorted(given, key=lambda one: one.user)  # two at once must not wait for each other crosswise
    store.add_users(tx, [one.user for one in given], [one.email for one in given])
    deleted = store.deleted_of_users(tx, [one.user for one in given], livemode)
    operations = [operation_name(livemode, "customer", one.user, deleted.get(one.user, 0) + 1) for one in given]
    wishes = [Wish(name, "customer.create", _create_params(one)) for name, one in zip(operations, given, strict=True)]
    intents.plan(tx, wishes, livemode)
    return operations


def _create_params(given: CreateCustomer) -> Snapshot:
    params: Snapshot = {"email": given.email, "metadata": {"nself_user": given.user}}
    if given.name:
        params["name"] = given.name
    if given.payment_method:
        params |= {
            "payment_method": given.payment_method,
            "invoice_settings": {"default_payment_method": given.payment_method},
        }
    return params


def call_create(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change("customers", params=marked(params, key), key=key)


def find_created(stripe: Stripe, intent: Intent) -> Snapshot | None:
    """By listing: Stripe's search lags behind."""
    return with_mark(stripe.listed("customers", email=intent.params["email"]), intent)


def settle_create(tx: Tx, intent: Intent, picture: Picture) -> bool:
    return _store(tx, picture, user_of(intent.params))


def apply(tx: Tx, picture: Picture) -> bool:
    """Step: store a picture; the user it belongs to is the one that we wrote into its metadata."""
    return _store(tx, picture, user_of(picture.snapshot))


def tell_created(app: App, tx: Tx, change: Change) -> None:
    """Reaction: a customer that was not known here, whoever told of it."""
    if change.what == "created":
        log.info("customer_create", customer=change.id, user=user_of(change.after), source=change.picture.source)


def _store(tx: Tx, picture: Picture, user: str | None) -> bool:
    if picture.snapshot.get("deleted"):
        store.mark_deleted(tx, picture, user)
        return True
    return store.upsert(tx, picture, user)


def show(app: App, given: ShowCustomer) -> Customer:
    """Raises NoSuchCustomer."""
    with app.db.reading() as tx:
        return require_customer(tx, given.customer)


def require_customer(tx: Tx, customer: str) -> Customer:
    """Step. Raises NoSuchCustomer."""
    found = store.by_id(tx, customer)
    if found is None:
        raise NoSuchCustomer(customer=customer)
    return found


def users_of(tx: Tx, customers: Sequence[str]) -> dict[str, str]:
    """Step: customer id -> user, for those that belong to one."""
    return store.users_of(tx, customers)


def list_customers(app: App, given: ListCustomers) -> list[Customer]:
    """Newest first."""
    with app.db.reading() as tx:
        return store.list_customers(tx, given.user, app.settings.live, given.limit, given.offset)


def owners(tx: Tx, customers: Sequence[str]) -> dict[str, Owner]:
    """Step: who is behind customers, by id; those that are mirrored."""
    return store.owners(tx, customers)


def use_trial(tx: Tx, customer: str) -> None:
    """Step: the customer has had a trial."""
    store.use_trial(tx, customer)


def customers_of(tx: Tx, users: Sequence[str], livemode: bool) -> dict[str, str]:
    """Step: user -> customer id, for those who have one."""
    return store.of_users(tx, users, livemode)
