"""Lines of a draft, several at a time, and one by one; sending an invoice; a payment that is attached to one."""

from typing import Any

from stripe_sandbox import collection, payments
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, no_such, unsupported
from stripe_sandbox.params import Choice, Clearable, Items, Kind, Metadata, Shape, Text
from stripe_sandbox.resource import RESOURCES, Params, operation
from stripe_sandbox.resources import discounts, tax_rates
from stripe_sandbox.resources.invoiceitems import ITEM_FIELDS, change_item, check_editable, make_item, remove_item
from stripe_sandbox.resources.invoices import INVOICE
from stripe_sandbox.resources.line_items import put_on
from stripe_sandbox.store import Object

_MOST = 250
_LINE: dict[str, Kind] = {
    **{name: kind for name, kind in ITEM_FIELDS.items() if name != "tax_behavior"},
    "tax_rates": Clearable(tax_rates.RATES),
}
_WITHOUT_ITEM = ("description", "discountable", "discounts", "metadata", "tax_rates")


@operation(
    "POST",
    f"{INVOICE.item_path}/add_lines",
    Shape(
        {"invoice_metadata": Metadata(), "lines": Items(Shape({**_LINE, "invoice_item": Text()}), _MOST)},
        required=("lines",),
    ),
)
def add_lines(call: Call, params: Params) -> Object:
    invoice = _draft(call)
    for at, given in enumerate(params["lines"]):
        if "invoice_item" not in given:
            named = {"customer": invoice["customer"], "invoice": invoice["id"]}
            currency = {} if "pricing" in given else {"currency": invoice["currency"]}
            make_item(call, {**_given(given), **named, **currency}, tell=False)
            continue
        here = f"lines[{at}][invoice_item]"
        item = call.require("invoiceitem", given["invoice_item"], param=here)
        if item["invoice"] is not None or item["customer"] != invoice["customer"]:
            raise StripeError("Only a pending invoice item of the same customer can be added.", param=here)
        put_on(call, item, invoice, pending_first=True)
        change_item(call, item, {name: value for name, value in _given(given).items() if name != "invoice_item"},
                    tell=False)  # fmt: skip
    return _changed(call, invoice, params)


def _given(line: Params) -> Params:
    return {**line, "tax_rates": line["tax_rates"] or []} if "tax_rates" in line else line


@operation(
    "POST",
    f"{INVOICE.item_path}/update_lines",
    Shape(
        {"invoice_metadata": Metadata(), "lines": Items(Shape({**_LINE, "id": Text()}, required=("id",)), _MOST)},
        required=("lines",),
    ),
)
def update_lines(call: Call, params: Params) -> Object:
    invoice = _draft(call)
    for at, given in enumerate(params["lines"]):
        line = _line(call, invoice, given["id"], param=f"lines[{at}][id]")
        _change(call, line, {name: value for name, value in given.items() if name != "id"})
    return _changed(call, invoice, params)


@operation("POST", f"{INVOICE.item_path}/lines/{{line_item_id}}", Shape(_LINE))
def update_line(call: Call, params: Params) -> Object:
    invoice = _draft(call)
    line = _line(call, invoice, call.path["line_item_id"], param="line_item_id", status=404)
    _change(call, line, params)
    collection.lines_changed(call, invoice)
    return call.load("line_item", line["id"])


@operation(
    "POST",
    f"{INVOICE.item_path}/remove_lines",
    Shape(
        {
            "invoice_metadata": Metadata(),
            "lines": Items(
                Shape({"behavior": Choice("delete", "unassign"), "id": Text()}, required=("behavior", "id")), _MOST
            ),
        },
        required=("lines",),
    ),
)
def remove_lines(call: Call, params: Params) -> Object:
    """`delete` removes the item too; `unassign` leaves it pending for the next invoice."""
    invoice = _draft(call)
    for at, given in enumerate(params["lines"]):
        line = _line(call, invoice, given["id"], param=f"lines[{at}][id]")
        if line["_item"] is None:
            raise StripeError("A line of a subscription cannot be removed.", param=f"lines[{at}][id]")
        item = call.load("invoiceitem", line["_item"])
        if given["behavior"] == "delete":
            remove_item(call, item, tell=False)
        else:
            call.delete(line, None)
            call.change(item, {"invoice": None, "_pending_first": False})
    return _changed(call, invoice, params)


def _draft(call: Call) -> Object:
    invoice = call.addressed("invoice")
    check_editable(invoice)
    return invoice


def _line(call: Call, invoice: Object, identifier: str, *, param: str, status: int = 400) -> Object:
    line = call.look("line_item", identifier)
    if line is None or line.get("deleted") or line["invoice"] != invoice["id"]:
        raise no_such("line item", identifier, param, status=status)
    return line


def _change(call: Call, line: Object, given: Params) -> None:
    if line["_item"] is not None:
        change_item(call, call.load("invoiceitem", line["_item"]), _given(given), tell=False)
        return
    beyond = sorted(set(given) - set(_WITHOUT_ITEM))
    if beyond:
        raise unsupported(f"changing {beyond[0]} of a subscription's line")
    fields: dict[str, Any] = {name: value for name, value in given.items() if name not in ("discounts", "tax_rates")}
    if "tax_rates" in given:
        fields["_tax_rates"] = tax_rates.check(call, given["tax_rates"], param="tax_rates")
    if "discounts" in given:
        invoice = call.load("invoice", line["invoice"])
        customer, currency = call.load("customer", invoice["customer"]), invoice["currency"]
        owner = {"invoice": invoice["id"]}
        fields["discounts"] = discounts.redeem(call, given["discounts"] or [], customer, currency, owner)
    call.change(line, fields)


def _changed(call: Call, invoice: Object, params: Params) -> Object:
    fields = collection.totals(call, invoice)
    if "invoice_metadata" in params:
        fields["metadata"] = params["invoice_metadata"]
    call.update(invoice, fields, "invoice.updated")
    return invoice


@operation("POST", f"{INVOICE.item_path}/send")
def send(call: Call, params: Params) -> Object:
    """No mail leaves the sandbox; the event says that it was sent. A draft is finalised first."""
    invoice = call.addressed("invoice")
    if invoice["status"] == "draft":
        collection.finalize(call, invoice)
    if invoice["status"] not in ("open", "paid", "uncollectible"):
        raise StripeError(f"You can only send an open invoice. This invoice is {invoice['status']}.")
    if invoice["customer_email"] is None:
        raise StripeError("The customer must have an email address to be sent an invoice.", param="customer")
    call.emit("invoice.sent", invoice)
    return invoice


@operation(
    "POST", f"{INVOICE.item_path}/attach_payment", Shape({"payment_intent": Text()}, required=("payment_intent",))
)
def attach_payment(call: Call, params: Params) -> Object:
    """A payment made elsewhere pays the invoice, if it is of the whole amount."""
    invoice = call.addressed("invoice")
    if invoice["status"] not in ("open", "uncollectible"):
        raise StripeError("You can only attach payments to open invoices.")
    intent = call.require("payment_intent", params["payment_intent"], param="payment_intent")
    if intent["_invoice"] is not None:
        raise StripeError("This PaymentIntent belongs to an invoice already.", param="payment_intent")
    if (intent["customer"], intent["currency"]) != (invoice["customer"], invoice["currency"]):
        raise StripeError("The PaymentIntent is of another customer or currency.", param="payment_intent")
    if intent["amount"] != invoice["amount_remaining"] or intent["status"] != "succeeded":
        raise unsupported("attaching a payment that has not succeeded or is not of the whole remaining amount")
    payment, own = collection.default_payment(call, invoice)
    canceled = {**payment["status_transitions"], "canceled_at": call.now}
    call.change(payment, {"is_default": False, "status": "canceled", "status_transitions": canceled})
    payments.cancel(call, own, "automatic")
    call.change(intent, {"_invoice": invoice["id"]})
    call.create(
        RESOURCES["invoice_payment"],
        {
            "amount_requested": intent["amount"],
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        },
    )
    collection.settle(call, intent)
    return call.load("invoice", invoice["id"])
