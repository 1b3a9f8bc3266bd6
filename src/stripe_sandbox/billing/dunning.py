"""What time does to an invoice: a draft is finalised, an open one is collected, and again after a failure.

https://docs.stripe.com/billing/invoices/subscription#invoice-lifecycle
"""

from stripe_sandbox import collection, deliveries
from stripe_sandbox.billing import standing
from stripe_sandbox.billing.lines import recount
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.resources.invoices import FINALIZED_AFTER
from stripe_sandbox.schedule import scheduled
from stripe_sandbox.store import Object

FINALIZED_AT_LATEST = 72 * 3600


def due(invoice: Object) -> int | None:
    if not invoice["auto_advance"]:
        return None
    match invoice["status"]:
        case "draft":
            return invoice["automatically_finalizes_at"]
        case "open":
            return invoice["next_payment_attempt"]
        case _:
            return None


@scheduled("invoice", due)
def step(call: Call, invoice: Object) -> None:
    if invoice["status"] == "open":
        collect(call, invoice)
    elif not _waits(call, invoice):
        _finalize(call, invoice)


def _waits(call: Call, invoice: Object) -> bool:
    """Until every endpoint has taken `invoice.created`, looking again each hour, for at most 72 hours."""
    if invoice["webhooks_delivered_at"] is not None:
        return False
    announced = invoice.get("_announced_by")
    if announced is None or not deliveries.undelivered(call.store, announced):
        call.change(invoice, {"webhooks_delivered_at": call.now})
        return False
    latest = invoice["created"] + FINALIZED_AT_LATEST
    if call.now >= latest:
        return False
    later = {"automatically_finalizes_at": min(call.now + FINALIZED_AFTER, latest)}
    call.update(invoice, later, "invoice.updated")
    return True


def _finalize(call: Call, invoice: Object) -> None:
    recount(call, invoice)
    try:
        with call.store.savepoint():
            _try_to_finalize(call, invoice)
    except StripeError as error:
        _finalization_failed(call, call.load("invoice", invoice["id"]), error)
        return
    if invoice["status"] != "open":
        return
    if invoice["collection_method"] == "send_invoice":
        call.change(invoice, {"next_payment_attempt": None})
        call.emit("invoice.sent", invoice)
    else:
        collect(call, invoice)


def _try_to_finalize(call: Call, invoice: Object) -> None:
    try:
        collection.finalize(call, invoice)
    except StripeError as error:
        if not error.commits:
            raise
        # It was told already; it is not tried again by itself.
        call.change(invoice, {"auto_advance": False, "automatically_finalizes_at": None})


def _finalization_failed(call: Call, invoice: Object, error: StripeError) -> None:
    described = {
        name: value
        for name, value in (
            ("code", error.code), ("message", error.message), ("param", error.param), ("type", error.type),
        )
        if value is not None
    }  # fmt: skip
    failed = {"auto_advance": False, "automatically_finalizes_at": None, "last_finalization_error": described}
    previous = call.record(invoice, failed)
    call.emit("invoice.finalization_failed", invoice, previous)


def collect(call: Call, invoice: Object) -> None:
    """One attempt; a refusal leaves its traces and the date of the next attempt."""
    if collection.method_for(call, invoice, None) is None:
        no_method(call, invoice)
        return
    try:
        collection.pay(call, invoice)
    except StripeError as error:
        if not error.commits:
            raise


def no_method(call: Call, invoice: Object) -> None:
    """An attempt without a card is a failed one; no charge is made."""
    call.update(invoice, standing.counted(call, invoice), "invoice.updated")
    call.emit("invoice.payment_failed", invoice)
    standing.failed(call, invoice)
