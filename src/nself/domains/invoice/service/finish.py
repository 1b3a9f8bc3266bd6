"""What ends a draft: finalised, paid, voided, credited. Each once, whatever happens on the way."""

from __future__ import annotations

from typing import cast

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import InvalidParameter
from nself.db.connect import Tx
from nself.domains.connection.model import PaymentQueued, Snapshot
from nself.domains.connection.rules import items
from nself.domains.connection.service import change, intents
from nself.domains.invoice import formulas, rules, store
from nself.domains.invoice.errors import (
    NoEmail,
    NoItems,
    NoSuchLine,
    NotCreditable,
    NotPayable,
    NotVoidable,
    PaymentFailedBefore,
    PaymentOnItsWay,
    TaxFailure,
    not_editable,
)
from nself.domains.invoice.formulas import Step, finalizing, step
from nself.domains.invoice.inputs import Credit, Finalize, Pay, Void
from nself.domains.invoice.model import Changed
from nself.domains.invoice.service import chain, current
from nself.domains.invoice.service.edit import changed
from nself.domains.payment.service import given_back
from nself.gateway.errors import IdempotencyMismatch, Refused

STRIPE_REASONS = frozenset({"duplicate", "fraudulent", "order_change", "product_unsatisfactory"})


class Credited(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `invoice credit`: what was taken back, and where it went."""

    id: str
    number: str | None
    invoice: str
    total_minor: int
    lowered_minor: int
    refunded_minor: int
    to_balance_minor: int
    currency: str
    reason: str


def finalize(app: App, given: Finalize) -> Changed:
    """From draft to open, with what the minimum charge asks for; an invoice that asks for nothing is paid at once.

    Raises InvoiceNotEditable, and UnableToCreate with the cause: no items, no email, tax; UsageIncomplete.
    """
    draft = _end_others(app, current.refresh(app, given.invoice))
    if draft["status"] != "draft":
        begun = current.name(app, None, "invoice.finalize", given.invoice)
        if chain.pending(app, begun):
            chain.drive(app, begun, given.invoice)
            return changed(app, given.invoice, "finalised")
        if draft["status"] == "void":
            raise not_editable(given.invoice, draft["status"])
        return changed(app, given.invoice, "finalised already: nothing changed")
    told = _finalize(app, draft, given.force)
    return changed(app, given.invoice, "finalised", [told] if told else [])


def _end_others(app: App, found: Snapshot) -> Snapshot:
    """What is still being done to a draft goes first: finalised before, it would lack lines, or have the minimum charge twice."""
    if found["status"] != "draft":
        return found
    ours = f"{current.operation(app, 'invoice.finalize', found['id'])}:"
    with app.db.reading() as tx:
        begun = store.open_operations(tx, found["id"], app.settings.live)
    others = [one for one in begun if not one.startswith(ours)]
    if not others:
        return found
    _require_counted(app, found)
    intents.drive(app, others)
    return current.refresh(app, found["id"])


def _finalize(app: App, draft: Snapshot, force: bool) -> str:
    """What the minimum charge does to it, if anything."""
    _require_ready(app, draft, force)
    minimum = current.minimum(app, draft["currency"])
    weighed = rules.weigh(draft, minimum) if minimum else None
    operation = current.name(app, None, "invoice.finalize", draft["id"])
    try:
        chain.run(app, operation, finalizing(draft["id"], minimum), draft["id"])
    except Refused as error:
        log.warning("invoice_generation", invoice=draft["id"], code=error.code, error=error.message)
        if error.code != TaxFailure.code:
            raise
        raise TaxFailure(invoice=draft["id"], customer=draft["customer"], cause=error.message) from error
    if weighed and (weighed.before or weighed.after):
        current.fetched(app, "customer", draft["customer"])
    return weighed.told if weighed else ""


def _require_ready(app: App, draft: Snapshot, force: bool) -> None:
    names = {"invoice": draft["id"], "customer": draft["customer"]}
    for one in formulas.problems(draft):
        if not one.fatal or (force and one.code == NoEmail.code):
            continue
        log.warning("invoice_generation", **names, code=one.code, error=one.text)
        kinds = {kind.code: kind for kind in (NoItems, NoEmail, TaxFailure)}
        raise kinds[one.code](cause=one.text, **names)
    _require_counted(app, draft)


def _require_counted(app: App, draft: Snapshot) -> None:
    if any(formulas.metric(line) for line in items(draft, "lines")):
        current.require_counted(app)


def pay(app: App, given: Pay) -> Changed:
    """Have it paid now; a draft is finalised first. Only one attempt is ever on its way.

    With BILLING_QUEUE_PAYMENTS it is only recorded. Raises NotPayable, PaymentFailedBefore, PaymentOnItsWay, and what
    Stripe says of the card.
    """
    found = _end_others(app, current.for_payment(app, given.invoice))
    if found["status"] == "draft":
        _finalize(app, found, force=True)
        found = current.refresh(app, given.invoice)
    if found["status"] == "paid":
        return changed(app, given.invoice, "paid already: nothing was charged")
    if found["status"] == "void":
        raise NotPayable(invoice=given.invoice, status="void")
    attempts = found["attempt_count"]
    operation = current.operation(app, "invoice.pay", given.invoice, "attempt", attempts)
    if attempts and not given.retry and not chain.pending(app, operation):
        raise PaymentFailedBefore(invoice=given.invoice)
    params = {"payment_method": given.payment_method} if given.payment_method else {}
    try:
        chain.run(app, operation, [step("invoices", given.invoice, "pay", params=params)], given.invoice, strict=True)
    except IdempotencyMismatch as error:
        raise PaymentOnItsWay(invoice=given.invoice) from error
    except PaymentQueued as waits:
        return changed(app, given.invoice, f"queued_{waits.id}: not paid yet, it waits for: {waits.hint[0]}")
    return changed(app, given.invoice, "paid")


def void(app: App, given: Void) -> Changed:
    """Nothing is owed any more; a draft is deleted. Raises NotVoidable where it is paid."""
    found = current.refresh(app, given.invoice)
    if found["status"] == "void":
        return changed(app, given.invoice, "void already")
    if found["status"] == "paid":
        raise NotVoidable(invoice=given.invoice, status="paid")
    operation = current.operation(app, "invoice.void", given.invoice, current.digest(given.reason))
    chain.run(app, operation, voiding(found, given.reason), given.invoice)
    log.info("invoice_voided", invoice=given.invoice, reason=given.reason, actor=app.operator())
    result = "deleted: a draft is not voided" if found["status"] == "draft" else f"voided: {given.reason}"
    return changed(app, given.invoice, result)


def voiding(invoice: Snapshot, reason: str) -> list[Step]:
    """Of a draft its items go with it, also those that had waited for an invoice."""
    id = invoice["id"]
    if invoice["status"] == "draft":
        found = [item for line in items(invoice, "lines") if (item := formulas.item_of(line))]
        taken = [step("invoiceitems", item, params={}, remove=True) for item in found]
        return [*taken, step("invoices", id, params={}, remove=True)]
    if invoice["status"] not in ("open", "uncollectible"):
        return []
    why = step("invoices", id, params={"metadata": {"nself_void_reason": reason}})
    return [why, step("invoices", id, "void", params={})]


def credit(app: App, given: Credit) -> Credited:
    """A credit note for what is finalised: of an amount, of whole lines, or of all that is left.

    What is not paid yet is asked for no more; what was paid goes to the customer's balance, or back with `refund`.
    Raises NotCreditable, NoSuchLine, InvalidParameter, GivenBackMeanwhile.
    """
    since = given_back.begin(app)
    invoice = current.refresh(app, given.invoice)
    if invoice["status"] not in ("open", "paid"):
        detail = "a draft is changed itself" if invoice["status"] == "draft" else "nothing is owed of it"
        raise NotCreditable(invoice=given.invoice, status=invoice["status"], detail=detail)
    if given.lines and given.amount:
        raise InvalidParameter("Give either --amount or --lines", "lines")
    left = _creditable(app, invoice)
    params, total = _credited(invoice, given, left)
    if not 0 < total <= left:
        raise NotCreditable(
            invoice=given.invoice, status=invoice["status"], detail=f"{max(left, 0)} can still be credited"
        )
    paid = total - (min(total, invoice["amount_remaining"]) if invoice["status"] == "open" else 0)
    if paid:
        params["refund_amount" if given.refund else "credit_amount"] = paid
    params |= {"invoice": given.invoice, "memo": given.reason, "metadata": {"nself_reason": given.reason}}
    if given.reason in STRIPE_REASONS:
        params["reason"] = given.reason
    about = (given.invoice, current.digest(params))
    operation = current.name(app, given.idempotency_key, "invoice.credit", *about)

    def work(tx: Tx) -> None:
        before = change.earlier(tx, operation, app.settings.live)
        if before is None or before.state == "failed":
            given_back.alone(app, tx, invoice["customer"], since, *given_back.WAYS, own=operation)
        chain.plan(tx, operation, [step("credit_notes", params=params)], given.invoice, app.settings.live, strict=True)

    app.require_stripe()
    app.db.transact(work)
    chain.drive(app, operation, given.invoice)
    current.fetched(app, "customer", invoice["customer"])
    return _shown(app, operation, given)


def _creditable(app: App, invoice: Snapshot) -> int:
    """What no credit note, refund or dispute took back yet."""
    credited = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    remaining = invoice["amount_remaining"] if invoice["status"] == "open" else 0
    return min(invoice["total"] - credited, remaining + given_back.left(app, invoice))


def _credited(invoice: Snapshot, given: Credit, left: int) -> tuple[Snapshot, int]:
    """Parameters and worth of the note."""
    if not given.lines:
        total = given.amount if given.amount is not None else left
        return {"amount": total}, total
    lines = {one["id"]: one for one in items(invoice, "lines")}
    asked = [part.strip() for part in given.lines.split(",") if part.strip()]
    for id in asked:
        if id not in lines:
            raise NoSuchLine(line=id[:100], invoice=given.invoice)
    chosen = [{"type": "invoice_line_item", "invoice_line_item": id, "amount": lines[id]["amount"]} for id in asked]
    return {"lines": chosen}, sum(formulas.net(lines[id]) for id in asked)


def _shown(app: App, operation: str, given: Credit) -> Credited:
    with app.db.reading() as tx:
        id = intents.made(tx, operation, 1) or ""
    note = current.fetched(app, "credit_note", id)
    refunds = cast("list[Snapshot]", note.get("refunds") or [])
    refunded = sum(one["amount_refunded"] for one in refunds)
    log.info("invoice_credited", invoice=given.invoice, credit_note=id, total=note["total"], reason=given.reason)
    return Credited(
        id=id,
        number=note.get("number"),
        invoice=given.invoice,
        total_minor=note["total"],
        lowered_minor=note["pre_payment_amount"],
        refunded_minor=refunded,
        to_balance_minor=note["post_payment_amount"] - refunded,
        currency=note["currency"],
        reason=given.reason,
    )
