"""An invoice on its way: totals, finalisation, payment, void; and what that means for its subscription."""

from typing import Any

from stripe_sandbox import invoice_totals, payments
from stripe_sandbox.billing import standing
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, card_error
from stripe_sandbox.ledger import apply_to_invoice, change_balance, split
from stripe_sandbox.payments import Outcome
from stripe_sandbox.resource import RESOURCES
from stripe_sandbox.resources.discounts import end_used
from stripe_sandbox.resources.payment_methods import resolve_attached
from stripe_sandbox.store import Object

NO_PAYMENT_METHOD = (
    "This customer has no attached payment source or default payment method. Please consider adding a default"
    " payment method. For more information, visit"
    " https://stripe.com/docs/billing/subscriptions/payment-methods-setting#payment-method-priority."
)
NO_TAX_LOCATION = (
    "The customer's location isn't recognized. Set a valid customer address in order to automatically calculate tax."
)
_REQUIRES_ACTION = (
    "This payment requires additional user action before it can be completed successfully. Payment can be completed"
    " using the PaymentIntent associated with the invoice. For more details see:"
    " https://stripe.com/docs/billing/subscriptions/overview#requires-action"
)


def lines_of(call: Call, invoice: Object) -> list[Object]:
    return call.find("line_item", invoice=invoice["id"])


def totals(call: Call, invoice: Object) -> dict[str, Any]:
    """The amounts that follow from the lines, and what a draft would ask for."""
    amounts = invoice_totals.totals(call, invoice)
    return {**amounts, **drafted(call, invoice, amounts["total"])}


def drafted(call: Call, invoice: Object, total: int) -> dict[str, int]:
    """What a draft would ask for if it were finalised now."""
    customer = call.load("customer", invoice["customer"])
    balance: int = customer.get("balance", 0)
    due, _ = split(total, balance, invoice["currency"])
    return {"starting_balance": balance, "amount_due": due, "amount_remaining": due}


def drafts_follow(call: Call, customer: Object) -> None:
    """Until it is finalised, an invoice says of its customer what the customer is now."""
    for invoice in call.find("invoice", customer=customer["id"], status="draft"):
        said = invoice_totals.as_customer_is(call, customer)
        if any(invoice[name] != value for name, value in said.items()):
            call.update(invoice, {**said, **totals(call, invoice)}, "invoice.updated")


def lines_changed(call: Call, invoice: Object) -> None:
    call.update(invoice, totals(call, invoice), "invoice.updated")


def transition(invoice: Object, name: str, at: int) -> dict[str, Any]:
    return {"status_transitions": {**invoice["status_transitions"], name: at}}


def finalize(call: Call, invoice: Object) -> None:
    """From draft to open; an invoice that asks for nothing is paid at once."""
    if invoice["status"] != "draft":
        raise StripeError("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    customer = call.load("customer", invoice["customer"])
    if customer.get("deleted"):
        raise StripeError(f"No such customer: '{customer['id']}'", code="resource_missing", param="customer")
    amounts = totals(call, invoice)
    _check_location(call, invoice, amounts)
    due, _ = split(amounts["total"], customer["balance"], invoice["currency"])
    left = apply_to_invoice(call, invoice, customer, amounts["total"])
    changed: dict[str, Any] = {
        **amounts,
        **invoice_totals.as_customer_is(call, customer),
        **transition(invoice, "finalized_at", call.now),
        "ending_balance": left,
        "effective_at": invoice["effective_at"] or call.now,
        "hosted_invoice_url": call.page("invoice", invoice["id"]),
        "automatically_finalizes_at": None,
        "number": invoice["number"] or f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        "status": "open",
    }
    call.change(invoice, changed)
    end_used(call, invoice)
    if due:
        ask_for(call, invoice, due)
        call.emit("invoice.finalized", invoice)
        return
    call.emit("invoice.finalized", invoice)
    _mark_paid(call, invoice, {"attempted": True}, "invoice.paid", "invoice.payment_succeeded")


def _check_location(call: Call, invoice: Object, amounts: dict[str, Any]) -> None:
    """Automatic tax needs a place; without one the invoice stays a draft and says why."""
    if amounts["automatic_tax"]["status"] != "requires_location_inputs":
        return
    error = StripeError(NO_TAX_LOCATION, code="customer_tax_location_invalid", commits=True)
    described = {"code": error.code, "message": error.message, "type": error.type}
    call.change(invoice, {**amounts, "last_finalization_error": described})
    call.emit("invoice.finalization_failed", invoice)
    raise error


def ask_for(call: Call, invoice: Object, due: int) -> None:
    """A finalised invoice has a payment intent that pays it by default."""
    first = invoice["billing_reason"] == "subscription_create"
    intent = payments.new_intent(
        call,
        {
            "amount": due,
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "description": "Subscription creation" if first else "Payment for Invoice",
            "_invoice": invoice["id"],
        },
    )
    call.create(
        RESOURCES["invoice_payment"],
        {
            "amount_requested": due,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        },
    )


def default_payment(call: Call, invoice: Object) -> tuple[Object, Object]:
    """The open invoice payment and its intent."""
    payment = next(one for one in call.find("invoice_payment", invoice=invoice["id"]) if one["is_default"])
    return payment, call.load("payment_intent", payment["payment"]["payment_intent"])


def method_for(call: Call, invoice: Object, chosen: str | None) -> Object | None:
    """The one given, else the invoice's, its subscription's, or the customer's default."""
    customer = call.load("customer", invoice["customer"])
    if chosen is not None:
        return resolve_attached(call, chosen, customer, param="payment_method")
    subscription = standing.subscription_of(call, invoice)
    candidates = (
        invoice["default_payment_method"],
        subscription["default_payment_method"] if subscription else None,
        customer["invoice_settings"]["default_payment_method"] if not customer.get("deleted") else None,
    )
    found = next((one for one in candidates if one is not None), None)
    return call.load("payment_method", found) if found else None


def pay(call: Call, invoice: Object, chosen: str | None = None) -> None:
    """One attempt to collect; raises the card's refusal, whose traces stay."""
    if not _left_to_pay(call, invoice):
        return
    method = method_for(call, invoice, chosen)
    if method is None:
        raise StripeError(NO_PAYMENT_METHOD, code="resource_missing")
    _, intent = default_payment(call, invoice)
    outcome = payments.attempt(call, intent, method, off_session=True)
    if outcome.status == "succeeded":
        settle(call, intent)
        invoice.update(call.load("invoice", invoice["id"]))
        return
    payment_failed(call, intent, outcome)
    invoice.update(call.load("invoice", invoice["id"]))
    raise outcome.error or card_error(
        _REQUIRES_ACTION, "invoice_payment_intent_requires_action", payment_intent=call.show(intent)
    )


def _left_to_pay(call: Call, invoice: Object) -> bool:
    """A draft is finalised first, which may be all that it takes."""
    match invoice["status"]:
        case "draft":
            finalize(call, invoice)
            return bool(invoice["amount_due"])
        case "paid":
            raise StripeError("Invoice is already paid")
        case "void":
            raise StripeError("This invoice can no longer be paid because it is void.")
        case _:
            return True


def pay_out_of_band(call: Call, invoice: Object) -> None:
    if not _left_to_pay(call, invoice):
        return
    _close_payment(call, invoice, "void_invoice")
    paid = {"amount_paid": invoice["amount_due"], "amount_paid_off_stripe": invoice["amount_due"]}
    _mark_paid(call, invoice, {**paid, "amount_remaining": 0}, "invoice.paid")


def settle(call: Call, intent: Object) -> None:
    """A payment intent succeeded: the invoice that it belongs to, if any, is paid."""
    if intent["_invoice"] is None:
        return
    invoice = call.load("invoice", intent["_invoice"])
    payment, _ = default_payment(call, invoice)
    paid = {
        "amount_paid": intent["amount"],
        "amount_remaining": 0,
        "attempt_count": standing.attempt_count(call, invoice),
        "attempted": True,
    }
    transitions = {**payment["status_transitions"], "paid_at": call.now}
    call.change(payment, {"amount_paid": intent["amount"], "status": "paid", "status_transitions": transitions})
    _mark_paid(call, invoice, paid, "invoice.paid", "invoice.payment_succeeded")
    call.emit("invoice_payment.paid", payment)


def _mark_paid(call: Call, invoice: Object, fields: dict[str, Any], *events: str) -> None:
    changed = {**fields, **transition(invoice, "paid_at", call.now), "status": "paid", "next_payment_attempt": None}
    call.update(invoice, changed, "invoice.updated")
    for event in events:
        call.emit(event, invoice)
    standing.paid(call, invoice)


def payment_failed(call: Call, intent: Object, outcome: Outcome) -> None:
    """The invoice stays open and counts the attempt."""
    invoice = call.load("invoice", intent["_invoice"])
    call.update(invoice, standing.counted(call, invoice), "invoice.updated")
    call.emit("invoice.payment_failed", invoice)
    if outcome.status == "requires_action":
        call.emit("invoice.payment_action_required", invoice)
    standing.failed(call, invoice)


def void(call: Call, invoice: Object) -> None:
    """Nothing is owed any more; balance that finalising used comes back."""
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError("You can only pass in open invoices. This invoice isn't open.")
    _close_payment(call, invoice, "void_invoice")
    changed = {**transition(invoice, "voided_at", call.now), "status": "void", "next_payment_attempt": None}
    previous = call.record(invoice, changed)
    call.emit("invoice.updated", invoice, previous)
    call.emit("invoice.voided", invoice)
    applied = invoice["starting_balance"] - invoice["ending_balance"]
    if applied:
        change_balance(call, invoice["customer"], applied, "unapplied_from_invoice", {"invoice": invoice["id"]})


def mark_uncollectible(call: Call, invoice: Object) -> None:
    if invoice["status"] != "open":
        raise StripeError("You can only pass in open invoices. This invoice isn't open.")
    changed = {**transition(invoice, "marked_uncollectible_at", call.now), "status": "uncollectible"}
    call.update(invoice, {**changed, "next_payment_attempt": None}, "invoice.updated")
    call.emit("invoice.marked_uncollectible", invoice)
    standing.written_off(call, invoice)


def credit(call: Call, invoice: Object, *, pre_payment: int, post_payment: int) -> None:
    """A credit note was issued or voided (negative): an open invoice asks for less or more, down to nothing."""
    fields: dict[str, Any] = {
        "amount_due": invoice["amount_due"] - pre_payment,
        "amount_remaining": invoice["amount_remaining"] - pre_payment,
        "post_payment_credit_notes_amount": invoice["post_payment_credit_notes_amount"] + post_payment,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] + pre_payment,
    }
    if not pre_payment:
        call.update(invoice, fields, "invoice.updated")
    elif fields["amount_remaining"] == 0:
        _close_payment(call, invoice, "void_invoice")
        _mark_paid(call, invoice, fields, "invoice.paid")
    else:
        payment, intent = default_payment(call, invoice)
        call.change(payment, {"amount_requested": fields["amount_remaining"]})
        call.change(intent, {"amount": fields["amount_remaining"]})
        call.update(invoice, fields, "invoice.updated")


def _close_payment(call: Call, invoice: Object, reason: str) -> None:
    payment, intent = default_payment(call, invoice)
    transitions = {**payment["status_transitions"], "canceled_at": call.now}
    call.change(payment, {"status": "canceled", "status_transitions": transitions})
    payments.cancel(call, intent, reason)
