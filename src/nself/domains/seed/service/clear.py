"""Taking away what seeds and test data made. What is done once is done: a clear that was killed is run again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from nself import log
from nself.app import App
from nself.db.connect import Tx
from nself.domains.connection.model import Snapshot, Wish
from nself.domains.connection.rules import part
from nself.domains.connection.service import change, intents
from nself.domains.mirror import service as mirror
from nself.domains.seed import store
from nself.domains.seed.inputs import ClearSeeds
from nself.domains.seed.model import Cleared, ClearUnconfirmed, SeedFailed, Standing
from nself.domains.seed.service import look

ENDED = ("canceled", "incomplete_expired")


class Found(NamedTuple):
    """What goes: ids, and invoices and subscriptions of seeded customers as Stripe has them."""

    customers: list[str]
    prices: list[str]
    invoices: list[Snapshot]
    subscriptions: list[Snapshot]

    def those(self, *statuses: str) -> list[str]:
        """Stripe deletes no draft of a subscription: it ends with its customer."""
        return [one["id"] for one in self.invoices if one["status"] in statuses and not _of_subscription(one)]


def _of_subscription(invoice: Snapshot) -> bool:
    return invoice["status"] == "draft" and bool(part(part(invoice, "parent"), "subscription_details"))


def clear(app: App, given: ClearSeeds) -> Cleared:
    """Raises SeedsInTestModeOnly, ClearUnconfirmed with the plan, SeedFailed, StillPending."""
    look.require_test_mode(app)
    with app.db.reading() as tx:
        unfinished = store.unfinished(tx)
    if given.confirm:
        look.finish(app)
    found = _found(app, look.standing_at_stripe(app))
    if not given.confirm:
        raise ClearUnconfirmed(plan=_plan(found, len(unfinished)))
    number = app.db.transact(lambda tx: store.begin(tx, "seed clear", app.clock()))
    done = _clear(app, found)
    app.db.transact(lambda tx: store.finish(tx, number, [], app.clock()))
    log.info("seed", run="seed clear", customers=done.customers, invoices_voided=done.invoices_voided)
    return done


def _found(app: App, standing: Sequence[Standing]) -> Found:
    """Whatever a seeded customer has goes with it, whoever made it."""
    customers = [one.id for one in standing if one.kind == "customers"]

    def owned(customer: str) -> tuple[list[Snapshot], list[Snapshot]]:
        invoices = list(app.stripe.listed("invoices", customer=customer))
        return invoices, list(app.stripe.listed("subscriptions", customer=customer, status="all"))

    with ThreadPoolExecutor(look.THREADS, "seed") as pool:
        found = list(pool.map(owned, customers))
    return Found(
        customers,
        [one.id for one in standing if one.kind == "prices"],
        [one for invoices, _ in found for one in invoices],
        [one for _, subscriptions in found for one in subscriptions if one["status"] not in ENDED],
    )


def _plan(found: Found, unfinished: int) -> str:
    parts = {
        "customers": len(found.customers),
        "subscriptions": len(found.subscriptions),
        "drafts": len(found.those("draft")),
    }
    told = ", ".join(f"{count} {noun}" for noun, count in parts.items())
    told += f", void {len(found.those('open', 'uncollectible'))} invoices and archive {len(found.prices)} prices"
    return told + (f", after {unfinished} unfinished operations have ended" if unfinished else "")


def _clear(app: App, found: Found) -> Cleared:
    """Invoices first: a customer that is gone takes no void."""
    drafts, owed = found.those("draft"), found.those("open", "uncollectible")
    _drive(app, "invoices", [_wish("delete", "invoices", id) for id in drafts])
    _drive(app, "invoices", [_wish("void", "invoices", id, "void") for id in owed])
    subscriptions = [one["id"] for one in found.subscriptions]
    _drive(app, "subscriptions", [_wish("cancel", "subscriptions", id) for id in subscriptions])
    _drive(app, "customers", [_wish("delete", "customers", id) for id in found.customers])
    _drive(app, "prices", [_wish("archive", "prices", id, params={"active": False}) for id in found.prices])
    paid, users = len(found.those("paid")), len(found.customers)
    kept = [f"{paid} paid invoices and their payments: Stripe deletes none"] if paid else []
    kept += [f"{len(found.prices)} prices, archived: Stripe deletes none"] if found.prices else []
    kept += [f"{users} users of these customers, and their usage: they are the app's"] if users else []
    return Cleared(
        customers=len(found.customers),
        subscriptions=len(subscriptions),
        drafts_deleted=len(drafts),
        invoices_voided=len(owed),
        prices_archived=len(found.prices),
        kept=kept,
    )


def _wish(deed: str, *path: str, params: Snapshot | None = None) -> Wish:
    """`…/void` is a deed and a change of fields is one, too; else the object is removed."""
    name = f"test:seed.clear:{deed}:{path[1]}"
    return change.wish(name, *path, params=params or {}, remove=deed in ("delete", "cancel"))


def _drive(app: App, kind: str, wishes: Sequence[Wish]) -> None:
    """Raises SeedFailed for what Stripe refused and is still there, StillPending."""
    if not wishes:
        return
    names = {one.operation: str(one.params["path"][1]) for one in wishes}

    def record(tx: Tx) -> None:
        for one in wishes:
            change.plan(tx, one, False)
        intents.retry_failed(tx, list(names), [change.KIND], False)

    app.db.transact(record)
    failed = [one for one in intents.drive(app, list(names)) if one.state == "failed"]
    look.refresh(app, [(kind, id) for id in names.values()])
    gone = _gone(app, kind, [names[one.operation] for one in failed])
    left = [f"{names[one.operation]}: {one.error}" for one in failed if names[one.operation] not in gone]
    if left:
        raise SeedFailed(count=len(left), total=len(wishes), detail="; ".join(left))


def _gone(app: App, kind: str, ids: Iterable[str]) -> set[str]:
    """Those that somebody else took away meanwhile."""
    with app.db.reading() as tx:
        found = mirror.stored(tx, look.NOUNS[kind], list(ids))
    return {id for id, one in found.items() if one.deleted or one.snapshot.get("status") in ("void", *ENDED)}
