"""The steps of an invoice at Stripe: create, a line a metric, finalise, pay. Each settles with the next one's wish."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from nself import log
from nself.db.connect import Tx
from nself.domains.connection.model import Intent, Snapshot, Wish
from nself.domains.connection.rules import MARK, items, marked, marks, part, with_mark
from nself.domains.connection.service import intents
from nself.domains.invoice import store
from nself.domains.invoice.formulas import CHAIN, LOOK, Step, following, look
from nself.domains.invoice.model import Plan, PlannedLine, StoredLine
from nself.domains.mirror.model import Picture
from nself.gateway.api import Stripe

BEFORE_PAYMENT = ["invoice.create", "invoice.add_line", "invoice.finalize", CHAIN, LOOK]


def first_wish(plan: Plan) -> Wish:
    """An empty draft that takes up nothing by itself and does not advance by itself."""
    return Wish(
        plan.operation,
        "invoice.create",
        {
            "customer": plan.customer,
            "currency": plan.currency,
            "collection_method": "charge_automatically",
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "description": f"Usage {plan.period_start:%Y-%m-%d} to {plan.period_end:%Y-%m-%d}",
            "metadata": {"nself_user": plan.user, "nself_operation": plan.operation},
            **plan.tax,
        },
    )


def wish_of(operation: str, chain: list[Step], invoice: str | None, number: int) -> Wish:
    """The first of `chain` as step `number` of an operation."""
    first, rest = following(chain, invoice)
    return Wish(operation, first["kind"], {**first["params"], "then": rest, "of": invoice}, number)


def follow(tx: Tx, intent: Intent, chain: list[Step], invoice: str | None) -> None:
    """Step: wish for the next of `chain`, if there is one."""
    if chain:
        wish = wish_of(intent.operation, chain, invoice, intent.step + 1)
        path = cast("list[str]", wish.params.get("path") or [])
        intents.follow(tx, intent, wish, marked=bool(path) and marks(path))


def item(line: StoredLine | PlannedLine, currency: str, invoice: str, customer: str) -> Snapshot:
    """Parameters of the invoice item of a planned line."""
    return {
        "customer": customer,
        "invoice": invoice,
        "amount": line.amount_minor,
        "currency": currency,
        "description": line.description,
        "discountable": False,
        "metadata": {"nself_metric": line.metric},
        "period": {"start": _seconds(line.period_start), "end": _seconds(line.period_end)},
    }


def _seconds(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp())


def _plan_next_line(tx: Tx, intent: Intent, invoice: str, customer: str, names: list[str]) -> None:
    """The next of the lines `names`, or finalising where none is left; what the minimum charge asks for comes before."""
    plan = store.plan(tx, intent.operation)
    if not names:
        finalize: Step = {"kind": "invoice.finalize", "params": {"invoice": invoice}}
        follow(tx, intent, [*([look(invoice, plan.minimum)] if plan.minimum else []), finalize], invoice)
        return
    lines = {one.line: one for one in store.plan_lines(tx, intent.operation)}
    params = {"item": item(lines[names[0]], plan.currency, invoice, customer), "rest": names[1:]}
    intents.follow(tx, intent, Wish(intent.operation, "invoice.add_line", params, intent.step + 1), marked=True)


# create


def adopt(tx: Tx, invoice: Snapshot, livemode: bool) -> bool:
    """Step: an invoice that a later state of this database made, before a backup was restored, is not made again.

    Whether it is complete the audit of invoices tells. False where it is none of ours, or known.
    """
    metadata = part(invoice, "metadata")
    operation, key = metadata.get("nself_operation"), metadata.get(MARK)
    if not operation or not key:
        return False
    wish = Wish(operation, "invoice.create", {"customer": invoice["customer"], "restored": True})
    touched = invoice["status"] != "draft" or bool(items(invoice, "lines"))
    adopted = intents.adopt(tx, wish, key, invoice["id"], livemode, touched=touched)
    if adopted:
        store.set_invoice(tx, operation, invoice["id"])
    return adopted


def call_create(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change("invoices", params=marked(params, key), key=key)


def find_created(stripe: Stripe, intent: Intent) -> Snapshot | None:
    return with_mark(stripe.listed("invoices", customer=intent.params["customer"]), intent)


def settle_create(tx: Tx, intent: Intent, picture: Picture) -> bool:
    snapshot = picture.snapshot
    store.set_invoice(tx, intent.operation, snapshot["id"])
    names = [one.line for one in store.plan_lines(tx, intent.operation)]
    _plan_next_line(tx, intent, snapshot["id"], intent.params["customer"], names)
    log.info("invoice_generation", operation=intent.operation, invoice=snapshot["id"])
    return apply(tx, [picture])


# add_line


def call_add_line(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change("invoiceitems", params=marked(params["item"], key), key=key)


def find_line(stripe: Stripe, intent: Intent) -> Snapshot | None:
    return with_mark(stripe.listed("invoiceitems", invoice=intent.params["item"]["invoice"]), intent)


def settle_add_line(tx: Tx, intent: Intent, picture: Picture) -> bool:
    item = intent.params["item"]
    _plan_next_line(tx, intent, item["invoice"], item["customer"], intent.params["rest"])
    return True


# finalize


def call_finalize(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change("invoices", params["invoice"], "finalize", params={}, key=key)


def find_finalized(stripe: Stripe, intent: Intent) -> Snapshot | None:
    found = stripe.fetch("invoice", intent.params["invoice"])
    return None if found["status"] == "draft" else found


def settle_finalize(tx: Tx, intent: Intent, picture: Picture) -> bool:
    """Below the minimum charge Stripe marks it paid at once and moves the amount to the customer's balance."""
    id, then = picture.snapshot["id"], cast("list[Step]", intent.params.get("then", []))
    if picture.snapshot.get("status") == "open":
        then = [*then, {"kind": "invoice.pay", "params": {"invoice": id}}]
    follow(tx, intent, then, id)
    return apply(tx, [picture])


# pay


def call_pay(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change("invoices", params["invoice"], "pay", params={}, key=key)


def find_paid(stripe: Stripe, intent: Intent) -> Snapshot | None:
    found = stripe.fetch("invoice", intent.params["invoice"])
    return found if found["status"] == "paid" else None


def settle_pay(tx: Tx, intent: Intent, picture: Picture) -> bool:
    return apply(tx, [picture])


# mirror


def apply(tx: Tx, pictures: Sequence[Picture]) -> bool:
    """Step: store snapshots. What was asked for before a deletion was stored does not undo it.

    False also for a snapshot that holds only the first of its lines; `fetch` brings them all.
    """
    there = [one for one in pictures if not one.snapshot.get("deleted")]
    for one in pictures:
        if one.snapshot.get("deleted"):
            store.mark_deleted(tx, one)
    if any(part(one.snapshot, "lines").get("has_more") for one in there):
        return False
    return not there or store.upsert(tx, there)
