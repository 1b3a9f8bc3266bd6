"""Making what is asked for: each object once, whatever is killed on the way and whoever does the same at once.

An object's operation is named after its key, what the file says of it and how often that was done before; so a run
that was killed is gone on with, and what was deleted since is made again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from nself import log
from nself.app import App
from nself.core.entrypoint import Rows
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.connection.model import OperationState, Snapshot
from nself.domains.connection.service import change, intents
from nself.domains.customer import service as customer
from nself.domains.invoice.service import chain
from nself.domains.seed import formulas, rules, store
from nself.domains.seed.inputs import CreateTestData, RunSeeds
from nself.domains.seed.model import KINDS, DuplicateData, SeedFailed, SeedRow, SeedSubscription, Standing, Wanted
from nself.domains.seed.service import look

Plan = Callable[[Tx, str], None]
"""Records the wish of an operation."""
SEEDS = 1_000_000_000


def run(app: App, given: RunSeeds) -> Rows[SeedRow]:
    """All of the files. Raises SeedsInTestModeOnly, BadSeeds, DuplicateData, ConstraintFails, SeedFailed, StillPending."""
    return _recorded(app, "seed run", lambda: look.wanted(app))


def customers(app: App, given: RunSeeds) -> Rows[SeedRow]:
    """As `run`."""
    return _recorded(app, "seed customers", lambda: rules.only(look.wanted(app), "customers"))


def subscriptions(app: App, given: RunSeeds) -> Rows[SeedRow]:
    """As `run`, with the customers that they need."""
    return _recorded(app, "seed subscriptions", lambda: rules.only(look.wanted(app), "subscriptions"))


def invoices(app: App, given: RunSeeds) -> Rows[SeedRow]:
    """As `run`, with the customers that they need."""
    return _recorded(app, "seed invoices", lambda: rules.only(look.wanted(app), "invoices"))


def test_data(app: App, given: CreateTestData) -> Rows[SeedRow]:
    """By chance; the same numbers and seed make the same objects once. Raises as `run`."""
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(SEEDS)
    wanted = rules.test_data(seed, given.customers, given.subscriptions, given.invoices)
    done = _recorded(app, f"test-data create --seed {seed}", lambda: wanted)
    done.notes.append(f"--seed {seed} makes the same again; nself billing seed clear --confirm takes it away")
    return done


test_data.__test__ = False  # type: ignore[attr-defined]


def _recorded(app: App, what: str, find: Callable[[], Wanted]) -> Rows[SeedRow]:
    """A run with its beginning, its end and its errors on record."""
    number = app.db.transact(lambda tx: store.begin(tx, what, app.clock()))
    log.info("seed", run=what, state="begun")
    try:
        look.require_test_mode(app)
        rows = _run(app, find())
    except BillingError as error:
        told = error.message
        app.db.transact(lambda tx: store.finish(tx, number, [told], app.clock()))
        log.error("seed", run=what, state="failed", code=error.code, error=error.message)
        raise
    app.db.transact(lambda tx: store.finish(tx, number, [], app.clock()))
    log.info("seed", run=what, state="done", made={one.kind: one.made for one in rows})
    return rows


def _run(app: App, wanted: Wanted) -> Rows[SeedRow]:
    look.finish(app)
    keys = {key for kind in rules.entries(wanted).values() for key in kind}
    keys |= {formulas.price_key(one, _currency(app)) for one in wanted.subscriptions}
    before = look.standing_at_stripe(app, keys)
    _refuse_duplicates(app, wanted, before)
    users = {one.owner: one.email for one in wanted.customers}
    store.kept_whole(lambda: customer.create_users(app, users))
    ids, failures = _customers(app, wanted, before)
    failures += _subscriptions(app, wanted, before, ids)
    failures += _invoices(app, wanted, before, ids)
    rows = _rows(wanted, before, look.standing(app))
    if failures:
        total = sum(one.wanted for one in rows)
        raise SeedFailed(count=len(failures), total=total, detail="; ".join(failures))
    _, differences, _ = rules.compare(wanted, before)
    notes = [f"left as it is: {one}; nself billing seed clear --confirm, then run again" for one in differences]
    if not any(one.made for one in rows):
        notes.append("nothing changed: everything stands already")
    return Rows(rows, notes)


def _rows(wanted: Wanted, before: Sequence[Standing], after: Sequence[Standing]) -> list[SeedRow]:
    old = {one.kind: one for one in rules.compare(wanted, before)[0]}
    new = {one.kind: one for one in rules.compare(wanted, after)[0]}
    return [
        SeedRow(
            kind=kind,
            wanted=old[kind].wanted,
            made=new[kind].there - old[kind].there,
            standing=old[kind].there,
            differing=old[kind].differing,
        )
        for kind in KINDS
        if old[kind].wanted
    ]


def _currency(app: App) -> str:
    return app.settings.text("BILLING_CURRENCY").lower()


def _refuse_duplicates(app: App, wanted: Wanted, standing: Sequence[Standing]) -> None:
    """Before anything is made. Raises DuplicateData."""
    _, _, found = rules.compare(wanted, standing)
    seeded = {one.id for one in standing if one.kind == "customers"}
    with app.db.reading() as tx:
        owned = customer.customers_of(tx, [one.owner for one in wanted.customers], False)
    found += [
        f"user {user} has customer {id} already, which is not seeded"
        for user, id in sorted(owned.items())
        if id not in seeded
    ]
    if found:
        raise DuplicateData(detail="; ".join(found))


def _customers(app: App, wanted: Wanted, standing: Sequence[Standing]) -> tuple[dict[str, str], list[str]]:
    """Ids of customers at Stripe by key, and what failed."""
    there = {one.key: one.id for one in standing if one.kind == "customers"}
    plans = dict[str, tuple[str, Plan]]()
    for one in wanted.customers:
        if one.key not in there:
            name = change.turn(app, "seed.customer", one.key, formulas.digest(one))
            plans[one.key] = name, _single(name, "customers", formulas.customer(one))
    ends, failures = _drive(app, "customers", plans)
    return there | {key: end.object_id or "" for key, end in ends.items()}, failures


def _single(name: str, collection: str, params: Snapshot) -> Plan:
    wish = change.wish(name, collection, params=params)
    return lambda tx, _: change.plan(tx, wish, False)


def _subscriptions(app: App, wanted: Wanted, standing: Sequence[Standing], ids: Mapping[str, str]) -> list[str]:
    there = {one.key for one in standing if one.kind == "subscriptions"}
    todo = [one for one in wanted.subscriptions if one.key not in there]
    prices, failures = _prices(app, todo, standing)
    plans = dict[str, tuple[str, Plan]]()
    for one in todo:
        price = one.price or prices.get(formulas.price_key(one, _currency(app)))
        if one.customer in ids and price:
            params = formulas.subscription(one, ids[one.customer], price)
            name = change.turn(app, "seed.subscription", one.key, formulas.digest(params))
            plans[one.key] = name, _single(name, "subscriptions", params)
        else:
            failures.append(f"subscriptions {one.key}: its {'price' if one.customer in ids else 'customer'} is missing")
    return [*failures, *_drive(app, "subscriptions", plans)[1]]


def _prices(
    app: App, todo: Sequence[SeedSubscription], standing: Sequence[Standing]
) -> tuple[dict[str, str], list[str]]:  # fmt: skip
    """Ids of the prices that plans need, by key."""
    there = {one.key: one.id for one in standing if one.kind == "prices"}
    plans = dict[str, tuple[str, Plan]]()
    for one in todo:
        key = formulas.price_key(one, _currency(app))
        if one.plan and key not in there and key not in plans:
            name = change.turn(app, "seed.price", key)
            plans[key] = name, _single(name, "prices", formulas.price(one, _currency(app)))
    ends, failures = _drive(app, "prices", plans)
    return there | {key: end.object_id or "" for key, end in ends.items()}, failures


def _invoices(app: App, wanted: Wanted, standing: Sequence[Standing], ids: Mapping[str, str]) -> list[str]:
    there = {one.key for one in standing if one.kind == "invoices"}
    failures, plans = list[str](), dict[str, tuple[str, Plan]]()
    for one in wanted.invoices:
        if one.key in there:
            continue
        if one.customer not in ids:
            failures.append(f"invoices {one.key}: its customer is missing")
            continue
        steps = formulas.invoice(one, ids[one.customer], _currency(app))
        name = change.turn(app, "seed.invoice", one.key, formulas.digest(steps))
        plans[one.key] = name, lambda tx, name, steps=steps: chain.plan(tx, name, steps, None, False)
    ends, failed = _drive(app, "invoices", plans)
    made = [id for key in ends if (id := chain.made(app, plans[key][0]))]
    look.refresh(app, [("invoices", id) for id in made])
    return [*failures, *failed]


def _drive(
    app: App, kind: str, plans: Mapping[str, tuple[str, Plan]]
) -> tuple[dict[str, OperationState], list[str]]:  # fmt: skip
    """Record all wishes of a kind, then have them done; ends by key, and what Stripe refused in words. Raises StillPending."""
    if not plans:
        return {}, []
    names = {name: key for key, (name, _) in plans.items()}

    def record(tx: Tx) -> None:
        for name, plan in plans.values():
            plan(tx, name)
        intents.retry_failed(tx, list(names), [change.KIND], False)

    app.db.transact(record)
    ends = intents.drive(app, list(names))
    failed = [one for one in ends if one.state == "failed"]
    for one in failed:
        log.error("seed", kind=kind, key=names[one.operation], code=one.error_code, error=one.error)
    done = {names[one.operation]: one for one in ends if one.state == "done"}
    return done, [f"{kind} {names[one.operation]}: {cast(str, one.error)}" for one in failed]
