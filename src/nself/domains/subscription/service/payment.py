"""Whether a subscription waits for money, and paying what it waits for."""

from __future__ import annotations

from datetime import datetime

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.connection.rules import items, part
from nself.domains.connection.service import change
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import store
from nself.domains.subscription.errors import CompNeedsReason, PaymentFailed, RequiresAction, Unpaid
from nself.domains.subscription.inputs import CompleteSubscription
from nself.domains.subscription.model import Done
from nself.domains.subscription.service import look
from nself.gateway.errors import CardDeclined, StripeFailure

WAITING = ("incomplete", "past_due", "unpaid")
NOTHING_TO_CHARGE = "no attached payment source"
EXPIRES = 23
"""Hours after which Stripe gives up a subscription whose first invoice nobody paid."""


def check(app: App, id: str, words: str, waiting: tuple[str, ...] = WAITING) -> None:
    """The subscription's latest invoice and its payment are in the mirror. Raises PaymentFailed, RequiresAction."""
    snapshot = look.stored(app, id)
    intent = _intent(app, snapshot["latest_invoice"]) if snapshot.get("latest_invoice") else {}
    if intent and snapshot["status"] in waiting:
        raise refused(snapshot, intent, words)


def refused(snapshot: Snapshot, intent: Snapshot, words: str, error: BillingError | None = None) -> BillingError:
    """Why money is missing, in the guide's words, with Stripe's code."""
    id, status = snapshot["id"], snapshot["status"]
    until = f"; Stripe gives it up {EXPIRES} hours after it was created" if status == "incomplete" else ""
    if intent.get("status") == "requires_action":
        log.warning("subscription_payment_intent_requires_action", subscription=id, payment_intent=intent["id"])
        return RequiresAction(subscription=id, status=status, until=until, payment_intent=intent["id"])
    said = part(intent, "last_payment_error")
    detail = error.message if error else str(said.get("message") or "Its invoice is not paid.")
    customer = snapshot["customer"]
    failure = PaymentFailed(words=words, detail=detail, subscription=id, customer=customer, status=status, until=until)
    code = error.code if error else said.get("code")
    failure.code = str(code or failure.code)
    log.warning(
        "subscription_payment_failed", subscription=id, code=failure.code, decline_code=said.get("decline_code")
    )
    return failure


def _intent(app: App, invoice: str) -> Snapshot:
    """The payment intent of an invoice; both are fetched and stored. Empty where there is none."""
    mirror.refresh(app, "invoice", invoice, "subscription payment")
    with app.db.reading() as tx:
        found = mirror.stored(tx, "invoice", [invoice])[invoice].snapshot
    named = [part(one, "payment").get("payment_intent") for one in items(found, "payments")]
    if not named or not named[0]:
        return {}
    mirror.refresh(app, "payment_intent", str(named[0]), "subscription payment")
    with app.db.reading() as tx:
        return mirror.stored(tx, "payment_intent", [str(named[0])])[str(named[0])].snapshot


def complete(app: App, given: CompleteSubscription) -> Done:
    """Pay the latest invoice of a subscription that waits for it. Raises Unpaid, PaymentFailed, RequiresAction, Canceled."""
    if given.comp and not (given.force and given.reason):
        raise CompNeedsReason(subscription=given.subscription)
    snapshot = look.running(look.fresh(app, given.subscription, "subscription complete"))
    id, invoice = snapshot["id"], snapshot.get("latest_invoice")
    if snapshot["status"] not in WAITING:
        return look.done(app, id, False, f"is {snapshot['status']}: there is nothing to complete")
    if not invoice:
        raise Unpaid(subscription=id, status=snapshot["status"], detail="it has no invoice")
    pay(app, snapshot, str(invoice), given.payment_method)
    after = look.fresh(app, id, "subscription complete")
    log.info("subscription_complete", subscription=id, invoice=invoice, status=after["status"])
    if after["status"] in WAITING:
        raise Unpaid(subscription=id, status=after["status"], detail=f"{invoice} was paid, others were not")
    return look.done(app, id, True, f"{invoice} is paid")


def is_open(app: App, invoice: str) -> bool:
    """Whether an invoice waits for money, as Stripe has it now."""
    _intent(app, invoice)
    return _status(app, invoice) == "open"


def _status(app: App, invoice: str) -> str:
    with app.db.reading() as tx:
        return str(mirror.stored(tx, "invoice", [invoice])[invoice].snapshot["status"])


def pay(app: App, snapshot: Snapshot, invoice: str, method: str | None = None) -> None:
    """Once for each time it is open; whether it was paid meanwhile is looked at first. Raises Unpaid, PaymentFailed, RequiresAction."""
    operation = change.turn(app, "subscription.complete", invoice)
    intent, status = _intent(app, invoice), _status(app, invoice)
    if status == "paid":
        return
    if status != "open":
        raise Unpaid(
            subscription=snapshot["id"], status=snapshot["status"], detail=f"its invoice {invoice} is {status}"
        )
    if intent.get("status") == "requires_action" and not method:
        raise refused(snapshot, intent, "Unable to complete subscription")
    try:
        change.change(app, operation, "invoices", invoice, "pay", params={"payment_method": method} if method else {})
    except CardDeclined as error:
        raise refused(snapshot, _intent(app, invoice), "Unable to complete subscription", error) from error
    except StripeFailure as error:
        raise Unpaid(subscription=snapshot["id"], status=snapshot["status"], detail=error.message) from error


def give(tx: Tx, given: CompleteSubscription, livemode: bool, actor: str, now: datetime, until: datetime) -> None:
    """Step: the plan of a subscription that is not paid counts as if it were, until then."""
    store.add_comp(tx, given.subscription, livemode, given.reason or "", actor, now, until)
