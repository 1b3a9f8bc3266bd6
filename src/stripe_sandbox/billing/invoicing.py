"""The invoices of subscriptions, from an empty draft to being finalised and paid at once."""

from typing import Any

from stripe_sandbox import collection
from stripe_sandbox.billing.cycle import Period
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.resources import discounts
from stripe_sandbox.resources.invoices import FINALIZED_AFTER, announce, begin
from stripe_sandbox.resources.line_items import take_pending
from stripe_sandbox.store import Object


class Previewed(Exception):
    """The invoice that was only wanted to be looked at; all that led to it is undone."""

    def __init__(self, invoice: Object) -> None:
        super().__init__()
        self.invoice = invoice


def draft(
    call: Call, subscription: Object, reason: str, period: Period, *, own_only: bool = False, **fields: Any
) -> Object:
    """With what is pending already on it: the customer's, unless only the subscription's own is wanted."""
    customer = call.load("customer", subscription["customer"])
    invoice = begin(
        call,
        customer,
        {
            "auto_advance": True,
            "billing_reason": reason,
            "currency": subscription["currency"],
            "parent": {
                "quote_details": None,
                "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
                "type": "subscription_details",
            },
            "period_start": period.start,
            "period_end": period.end,
            "_subscription": subscription["id"],
            **fields,
        },
    )
    take_pending(call, invoice, own_only=own_only)
    return invoice


def discard(call: Call, invoice: Object) -> None:
    """Flexible billing makes no empty invoice, as for what is only metered."""
    call.store.delete(invoice)
    discounts.release(call, invoice)


def complete(call: Call, subscription: Object, invoice: Object) -> None:
    """All its lines are on it."""
    call.change(invoice, collection.totals(call, invoice))
    if call.preview:
        raise Previewed(invoice)
    call.change(subscription, {"latest_invoice": invoice["id"]})


def advance_later(call: Call, invoice: Object) -> None:
    """It stays a draft for an hour."""
    call.change(invoice, {"automatically_finalizes_at": call.now + FINALIZED_AFTER})
    announce(call, invoice)


def advance_now(call: Call, invoice: Object, behavior: str) -> None:
    """Announced, finalised and, unless the caller wants to confirm it, paid in the same call."""
    announce(call, invoice)
    collection.finalize(call, invoice)
    if invoice["status"] != "open" or behavior == "default_incomplete":
        return
    try:
        collection.pay(call, invoice)
    except StripeError as error:
        if error.commits and behavior != "error_if_incomplete":
            return
        # Nothing of what could not be paid stays, not even the declined charge.
        error.commits = False
        raise
