"""Customers at Stripe, and the users they belong to."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

import msgspec

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.core.entrypoint import Rows
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.connection.model import Intent, Snapshot, Wish, operation_name
from nself.domains.connection.rules import items, marked, part, user_of, with_mark
from nself.domains.connection.service import change, intents
from nself.domains.customer import rules, store
from nself.domains.customer.inputs import (
    CreateCustomer,
    ListCustomers,
    OpenPortal,
    SetTaxId,
    ShowCustomer,
    TrialEligibility,
    UpdateCustomer,
)
from nself.domains.customer.model import (
    BadEmail,
    BadTaxId,
    CreatedCustomer,
    Customer,
    CustomerGone,
    CustomerIsDeleted,
    Eligibility,
    NoSuchCustomer,
    NoSuchUser,
    NothingToUpdate,
    OtherCustomer,
    Owner,
    Portal,
    RefusedTrial,
    ShownCustomer,
    TaxId,
    Updated,
)
from nself.domains.mirror import rules as mirror_rules
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Change, Picture
from nself.gateway.api import Stripe

ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")
KNOWN_SECONDS = 30
MAX_KNOWN = 200_000
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")

_known: dict[str, dict[str, float]] = {}
"""Until when a user of a database is known to exist."""
REFUSED = timedelta(hours=24)
"""For so long a trial that was refused is told."""


def emails(tx: Tx, users: Sequence[str]) -> dict[str, str]:
    """Step: the addresses of those who have one."""
    return store.emails(tx, users)


def with_emails(tx: Tx, addresses: Sequence[str], livemode: bool) -> dict[str, str]:
    """Step: by address a customer that has exactly this one at Stripe."""
    return store.with_emails(tx, addresses, livemode)


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


def add_users(tx: Tx, users: Sequence[str]) -> None:
    """Step: make them known where they are not."""
    store.add_users(tx, users, [None for _ in users])


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
    app.require_stripe()
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
    return _store(tx, [(picture, user_of(intent.params))])


def apply(tx: Tx, pictures: Sequence[Picture]) -> bool:
    """Step: store pictures; the user one belongs to is the one that we wrote into its metadata."""
    return _store(tx, [(one, user_of(one.snapshot)) for one in pictures])


def tell_created(app: App, tx: Tx, changes: Sequence[Change]) -> None:
    """Reaction: customers that were not known here, whoever told of them."""
    log.infos(
        "customer_create",
        [
            {"customer": one.id, "user": user_of(one.after), "source": one.picture.source}
            for one in changes
            if one.what == "created"
        ],
    )


def _store(tx: Tx, given: Sequence[tuple[Picture, str | None]]) -> bool:
    """Pictures and the users they belong to."""
    there = [(one, user) for one, user in given if not one.snapshot.get("deleted")]
    users = store.lock_users(tx, [user for _, user in given if user], [one.snapshot["id"] for one, _ in given])
    for one, user in given:
        if one.snapshot.get("deleted"):
            store.mark_deleted(tx, one, user)
    held = store.upsert(tx, there) if there else {}
    if len(there) < len(given) or any(user and held.get(one.snapshot["id"]) != user for one, user in there):
        _settle(tx, users, given[0][0].snapshot["livemode"])
    return len(held) == len(there)


def _settle(tx: Tx, users: Sequence[str], livemode: bool) -> None:
    """Whom several customers claim belongs to the same one in whatever order they came."""
    for user, id in store.entitled(tx, users, livemode).items():
        if store.give(tx, id, user, livemode):
            log.warning(
                "customer_user_moved", customer=id, user=user, detail="another customer had the user and gave way"
            )


def lock_user(tx: Tx, user: str) -> None:
    """Step: until the end of the transaction nobody else gives the user a customer."""
    store.lock_users(tx, [user], [])


def give(tx: Tx, customer: str, user: str, livemode: bool) -> None:
    """Step: take the user from whatever other customer has it, and give it to this one."""
    store.give(tx, customer, user, livemode)


def show(app: App, given: ShowCustomer) -> ShownCustomer:
    """Raises NoSuchCustomer."""
    with app.db.reading() as tx:
        found = require_customer(tx, given.customer)
        snapshot = mirror.stored(tx, "customer", [found.id])[found.id].snapshot
    return ShownCustomer(
        **msgspec.structs.asdict(found),
        phone=snapshot.get("phone"),
        address=rules.address_text(snapshot),
        tax_exempt=snapshot.get("tax_exempt"),
        tax_ids=[rules.tax_id_text(one) for one in items(snapshot, "tax_ids")],
        locales=snapshot.get("preferred_locales") or [],
        delinquent=bool(snapshot.get("delinquent")),
    )


def update(app: App, given: UpdateCustomer) -> Updated:
    """Change a customer at Stripe. The rest of an address stays as it is there.

    Raises NothingToUpdate, BadEmail, NoSuchCustomer, CustomerIsDeleted, what Stripe refuses.
    """
    if given.email is not None and not EMAIL.fullmatch(given.email):
        raise BadEmail(email=given.email)
    fields = msgspec.structs.asdict(given)
    flat = {name: fields[name] for name in ("email", "name", "phone", "tax_exempt") if fields[name] is not None}
    address = {name: fields[f"address_{name}"] for name in ADDRESS if fields[f"address_{name}"] is not None}
    if not (flat or address or given.locale):
        raise NothingToUpdate(customer=given.customer)
    before = _now(app, given.customer)
    params: Snapshot = dict(flat)
    if address:
        kept = {name: value for name, value in part(before, "address").items() if value and name in ADDRESS}
        params["address"] = kept | address | ({"country": address["country"].upper()} if "country" in address else {})
    if given.locale:
        params["preferred_locales"] = [given.locale]
    change.change(app, change.once(app, "customer.update", given.customer), "customers", given.customer, params=params)

    def work(tx: Tx) -> tuple[Customer, Snapshot]:
        found = require_customer(tx, given.customer)
        if given.email and found.user:
            store.set_email(tx, found.user, given.email)
        return found, mirror.stored(tx, "customer", [found.id])[found.id].snapshot

    found, after = app.db.transact(work)
    changed = [f"{one.field}: {one.before} -> {one.after}" for one in mirror_rules.differences(before, after)]
    note = "" if changed else "nothing was different"
    return Updated(id=found.id, user=found.user, email=found.email, changed=changed, note=note)


def _now(app: App, customer: str) -> Snapshot:
    """A customer as Stripe has it now. Raises NoSuchCustomer, CustomerIsDeleted."""
    mirror.refresh(app, "customer", customer, "command")
    with app.db.reading() as tx:
        found = mirror.stored(tx, "customer", [customer]).get(customer)
    if found is None or found.deleted:
        raise (
            CustomerIsDeleted(customer=customer)
            if found and found.snapshot.get("created")
            else NoSuchCustomer(customer=customer)
        )
    return found.snapshot


def set_tax_id(app: App, given: SetTaxId) -> TaxId:
    """It replaces those of its type, and those that no authority knows. Raises BadTaxId, NoSuchCustomer, CustomerIsDeleted, what Stripe refuses."""
    problem = rules.tax_id_problem(given.type, given.value)
    if problem:
        raise BadTaxId(customer=given.customer, type=given.type, value=given.value, detail=problem)
    before = items(_now(app, given.customer), "tax_ids")
    others = [one for one in before if rules.is_replaced(one, given.type, given.value)]
    standing = next((one for one in before if (one["type"], one["value"]) == (given.type, given.value)), None)
    if standing is None:
        state = ",".join(sorted(one["id"] for one in before))  # two at once see the same, and make one
        name = operation_name(app.settings.live, "customer.tax_id", given.customer, given.type, given.value, state)
        params = {"type": given.type, "value": given.value}
        change.change(app, name, "customers", given.customer, "tax_ids", params=params)
    for one in others:
        name = operation_name(app.settings.live, "customer.tax_id.remove", one["id"])
        change.change(app, name, "customers", given.customer, "tax_ids", one["id"], params={}, remove=True)
    after = items(_now(app, given.customer), "tax_ids")
    made = next(one for one in after if (one["type"], one["value"]) == (given.type, given.value))
    return TaxId(
        id=made["id"],
        customer=given.customer,
        type=made["type"],
        value=made["value"],
        format="not known here" if problem is None else "right",
        verification=part(made, "verification").get("status") or "unavailable",
        replaced=[f"{one['type']} {one['value']}" for one in others],
        note="stands already" if standing else "",
    )


def trial_eligibility(app: App, given: TrialEligibility) -> Eligibility:
    """One trial a customer and user. Raises NoSuchCustomer."""
    with app.db.reading() as tx:
        found = require_customer(tx, given.customer)
        used = store.had_trial(tx, given.customer)
        refused = store.refused_trials(tx, given.customer, app.clock() - REFUSED, app.settings.live, 1)
    reason = "had a trial already" if used else "deleted at Stripe" if found.deleted else "no trial yet"
    eligible = not used and not found.deleted
    told = "".join(f"{one.at:%Y-%m-%d %H:%M:%SZ}: a trial of {one.price}" for one in refused)
    return Eligibility(
        customer=found.id, user=found.user, eligible=eligible, trial_used=used, reason=reason, refused=told
    )  # fmt: skip


def refused_trials(app: App, limit: int) -> list[RefusedTrial]:
    """Of the last hours, newest first: what an app asked for and was not given since."""
    with app.db.reading() as tx:
        return store.refused_trials(tx, None, app.clock() - REFUSED, app.settings.live, limit)


def portal(app: App, given: OpenPortal) -> Portal:
    """Raises NoSuchCustomer, what Stripe refuses."""
    with app.db.reading() as tx:
        require_customer(tx, given.customer)
    params = {"customer": given.customer} | ({"return_url": given.return_url} if given.return_url else {})
    made = app.stripe.change("billing_portal", "sessions", params=params, key=uuid.uuid4().hex)
    log.info("customer_portal", customer=given.customer)
    return Portal(customer=given.customer, url=made["url"])


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
    """Newest first, of this project's mode; with `test_mode` of test mode, and how many others were left out."""
    live = app.settings.live and not given.test_mode
    with app.db.reading() as tx:
        rows = store.list_customers(tx, given, live)
        hidden = store.count_live(tx) if given.test_mode else 0
    return Rows(rows, [f"{hidden} customers of live mode are not shown"] if given.test_mode else [])


def owners(tx: Tx, customers: Sequence[str]) -> dict[str, Owner]:
    """Step: who is behind customers, by id; those that are mirrored."""
    return store.owners(tx, customers)


def use_trial(tx: Tx, customers: Sequence[str]) -> None:
    """Step: they have had a trial."""
    store.use_trial(tx, customers)


def customers_of(tx: Tx, users: Sequence[str], livemode: bool) -> dict[str, str]:
    """Step: user -> customer id, for those who have one."""
    return store.of_users(tx, users, livemode)
