"""The invoices of subscriptions, from an empty draft to being finalised and paid at once."""

from typing import Any

from stripe_sandbox import collection, deliveries
from stripe_sandbox.billing.cycle import Period
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.resources.invoices import begin
from stripe_sandbox.resources.line_items import take_pending
from stripe_sandbox.store import Object

FINALIZED_AFTER = 3600  # seconds from invoice.created to the automatic finalisation


class Previewed(Exception):
    """The invoice that was only wanted to be looked at; all that led to it is undone."""

    def __init__(self, invoice: Object) -> None:
        super().__init__()
        self.invoice = invoice


def draft(call: Call, subscription: Object, reason: str, period: Period, **fields: Any) -> Object:
    """With what is pending for this subscription already on it."""
    customer = call.load("customer", subscription["customer"])
    unheard = deliveries.wanted(call.store, "invoice.created")
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
            "webhooks_delivered_at": None if unheard else call.now,
            "_subscription": subscription["id"],
            **fields,
        },
    )
    take_pending(call, invoice)
    return invoice


def complete(call: Call, subscription: Object, invoice: Object) -> None:
    """All its lines are on it."""
    call.change(invoice, collection.totals(call, invoice))
    if call.preview:
        raise Previewed(invoice)
    call.change(subscription, {"latest_invoice": invoice["id"]})


def announce(call: Call, invoice: Object) -> None:
    event = call.emit("invoice.created", invoice)
    call.change(invoice, {"_announced_by": event["id"]})


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
