"""Invoices and their lines. The steps of an invoice's life stand in `collection`."""

from typing import Any

from stripe_sandbox import collection, deliveries
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.invoice_totals import as_customer_is, automatic_tax
from stripe_sandbox.ledger import settle_currency
from stripe_sandbox.params import (
    Boolean,
    Choice,
    Clearable,
    Currency,
    Integer,
    Metadata,
    Shape,
    Text,
    Timestamp,
)
from stripe_sandbox.resource import (
    CREATED,
    PAGE,
    Params,
    Part,
    Resource,
    list_of,
    listable,
    matches,
    operation,
    page,
    register,
    retrievable,
    within,
)
from stripe_sandbox.resources import discounts, tax_rates
from stripe_sandbox.resources.line_items import LINE_ITEM, give_back, take_pending
from stripe_sandbox.resources.payment_methods import resolve_attached
from stripe_sandbox.resources.shapes import AUTOMATIC_TAX, NO_AUTOMATIC_TAX
from stripe_sandbox.store import Object, equals

_LINES_SHOWN = 10
FINALIZED_AFTER = 3600  # seconds from invoice.created to the automatic finalisation


def _lines(call: Call, invoice: Object) -> Object:
    lines = collection.lines_of(call, invoice)
    url = f"/v1/invoices/{invoice['id']}/lines"
    return list_of(lines[:_LINES_SHOWN], url, has_more=len(lines) > _LINES_SHOWN)


def _payments(call: Call, invoice: Object) -> Object:
    made = call.find("invoice_payment", invoice=invoice["id"])
    return list_of(made, f"/v1/invoice_payments?invoice={invoice['id']}")


def _confirmation_secret(call: Call, invoice: Object) -> dict[str, str] | None:
    if not call.find("invoice_payment", invoice=invoice["id"]):
        return None
    _, intent = collection.default_payment(call, invoice)
    return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _while_draft(name: str) -> Part:
    """A draft follows the customer's balance; a finalised invoice does not."""

    def part(call: Call, invoice: Object) -> Any:
        if invoice["status"] != "draft":
            return invoice[name]
        return collection.drafted(call, invoice, invoice["total"])[name]

    return part


INVOICE = register(
    Resource(
        kind="invoice",
        prefix="in",
        path="/v1/invoices",
        item="invoice",
        id_param="invoice",
        fields={
            "account_country": "US",
            "account_name": "Sandbox",
            "account_tax_ids": None,
            "amount_due": 0,
            "amount_overpaid": 0,
            "amount_paid": 0,
            "amount_paid_off_stripe": 0,
            "amount_remaining": 0,
            "amount_shipping": 0,
            "application": None,
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": False,
            "automatic_tax": NO_AUTOMATIC_TAX,
            "automatically_finalizes_at": None,
            "billing_reason": "manual",
            "collection_method": "charge_automatically",
            "currency": "usd",
            "custom_fields": None,
            "customer": "",
            "customer_account": None,
            "customer_address": None,
            "customer_email": None,
            "customer_name": None,
            "customer_phone": None,
            "customer_shipping": None,
            "customer_tax_exempt": "none",
            "customer_tax_ids": [],
            "default_payment_method": None,
            "default_source": None,
            "description": None,
            "discounts": [],
            "due_date": None,
            "effective_at": None,
            "ending_balance": None,
            "footer": None,
            "from_invoice": None,
            "hosted_invoice_url": None,
            "invoice_pdf": None,
            "issuer": {"type": "self"},
            "last_finalization_error": None,
            "latest_revision": None,
            "metadata": {},
            "next_payment_attempt": None,
            "number": None,
            "on_behalf_of": None,
            "parent": None,
            "payment_settings": {
                "default_mandate": None,
                "payment_method_options": None,
                "payment_method_types": None,
            },
            "period_end": 0,
            "period_start": 0,
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
            "receipt_number": None,
            "rendering": None,
            "shipping_cost": None,
            "shipping_details": None,
            "starting_balance": 0,
            "statement_descriptor": None,
            "status": "draft",
            "status_transitions": {
                "finalized_at": None,
                "marked_uncollectible_at": None,
                "paid_at": None,
                "voided_at": None,
            },
            "subtotal": 0,
            "subtotal_excluding_tax": 0,
            "test_clock": None,
            "total": 0,
            "total_discount_amounts": [],
            "total_excluding_tax": 0,
            "total_pretax_credit_amounts": [],
            "total_taxes": [],
            "webhooks_delivered_at": None,
            "_announced_by": None,  # the event that says that it was created
            "_default_tax_rates": [],
            "_subscription": None,
        },
        references={
            "account_tax_ids": "tax_id",
            "application": "application",
            "customer": "customer",
            "default_payment_method": "payment_method",
            "default_source": "card",
            "discounts": "discount",
            "latest_revision": "invoice",
            "on_behalf_of": "account",
            "parent.subscription_details.subscription": "subscription",
            "test_clock": "test_helpers.test_clock",
            "total_discount_amounts.discount": "discount",
            "total_taxes.tax_rate_details.tax_rate": "tax_rate",
        },
        embedded={
            "lines": _lines,
            "default_tax_rates": tax_rates.shown("_default_tax_rates"),
            **{name: _while_draft(name) for name in ("starting_balance", "amount_due", "amount_remaining")},
        },
        included={"payments": _payments, "confirmation_secret": _confirmation_secret},
    )
)

_FIELDS = {
    "auto_advance": Boolean(),
    "automatic_tax": AUTOMATIC_TAX,
    "collection_method": Choice("charge_automatically", "send_invoice"),
    "days_until_due": Integer(0),
    "default_payment_method": Text(),
    "default_tax_rates": Clearable(tax_rates.RATES),
    "description": Clearable(Text(1500)),
    "discounts": Clearable(discounts.GIVEN),
    "due_date": Timestamp(),
    "footer": Clearable(Text()),
    "metadata": Metadata(),
    "statement_descriptor": Text(22),
}


def begin(call: Call, customer: Object, fields: dict[str, Any]) -> Object:
    """A draft that knows its customer as the customer is now."""
    copied = as_customer_is(call, customer)
    period = {"period_start": call.now, "period_end": call.now}
    heard = None if deliveries.wanted(call.store, "invoice.created") else call.now
    known = {"customer": customer["id"], "webhooks_delivered_at": heard}
    invoice = call.create(INVOICE, {**copied, **period, **known, **fields})
    subscription = call.load("subscription", fields["_subscription"]) if fields.get("_subscription") else None
    taken: dict[str, Any] = (
        {} if "discounts" in fields else {"discounts": discounts.inherited(call, customer, subscription)}
    )
    if subscription is not None:
        taken |= {name: subscription[name] for name in ("_default_tax_rates",)}
        taken["automatic_tax"] = automatic_tax(subscription["automatic_tax"]["enabled"])
    discounts.mark_used(call, invoice, taken.get("discounts", ()))
    call.change(invoice, taken)
    return invoice


@operation(
    "POST",
    INVOICE.path,
    Shape(
        {
            **_FIELDS,
            "currency": Currency(),
            "customer": Text(),
            "pending_invoice_items_behavior": Choice("exclude", "include"),
        },
        required=("customer",),
    ),
)
def create(call: Call, params: Params) -> Object:
    customer = call.require("customer", params["customer"], param="customer")
    fields = _checked(call, params, customer, "charge_automatically")
    include = fields.pop("pending_invoice_items_behavior", "exclude") == "include"
    fields["currency"] = params.get("currency") or customer["currency"] or "usd"
    settle_currency(call, customer, fields["currency"])
    given = fields.pop("discounts", _NOT_GIVEN)
    invoice = begin(call, customer, fields if given is _NOT_GIVEN else {**fields, "discounts": []})
    if given is not _NOT_GIVEN:
        call.change(invoice, {"discounts": _redeemed(call, invoice, customer, given)})
    if include:
        take_pending(call, invoice)
    call.change(invoice, collection.totals(call, invoice))
    announce(call, invoice)
    return invoice


def announce(call: Call, invoice: Object) -> None:
    """`invoice.created`; the automatic finalisation waits until the endpoints have taken it."""
    event = call.emit("invoice.created", invoice)
    call.change(invoice, {"_announced_by": event["id"]})


def advancing(call: Call, auto_advance: bool, method: str, status: str = "draft") -> dict[str, Any]:
    """A draft is finalised, an open invoice collected, an hour after it was told to advance by itself."""
    at = call.now + FINALIZED_AFTER if auto_advance else None
    if status == "draft":
        return {"auto_advance": auto_advance, "automatically_finalizes_at": at}
    return {"auto_advance": auto_advance, "next_payment_attempt": at if method == "charge_automatically" else None}


_NOT_GIVEN: Any = object()


def _redeemed(call: Call, invoice: Object, customer: Object, given: list[Params] | None) -> list[str]:
    return discounts.redeem(call, given or [], customer, invoice["currency"], {"invoice": invoice["id"]})


def _checked(call: Call, params: Params, customer: Object, method: str) -> dict[str, Any]:
    fields = dict(params)
    if "auto_advance" in fields:
        fields |= advancing(call, fields["auto_advance"], method)
    method = fields.get("collection_method", method)
    dated = "due_date" in fields or "days_until_due" in fields
    if method == "send_invoice" and "collection_method" in fields and not dated:
        raise StripeError(
            "If invoices are sent to the customer, you must specify `days_until_due` or `due_date`.",
            code="parameter_missing",
            param="days_until_due",
        )
    if method == "charge_automatically" and dated:
        raise StripeError(
            "You can only specify `days_until_due` or `due_date` if you set `collection_method` to `send_invoice`.",
            param="due_date" if "due_date" in fields else "days_until_due",
        )
    if "days_until_due" in fields:
        days = fields.pop("days_until_due")
        fields["due_date"] = fields.get("due_date", call.now + days * 86400)
    if "default_tax_rates" in fields:
        rates = fields.pop("default_tax_rates")
        fields["_default_tax_rates"] = tax_rates.check(call, rates, param="default_tax_rates")
    if "automatic_tax" in fields:
        fields["automatic_tax"] = automatic_tax(fields["automatic_tax"]["enabled"])
    if "default_payment_method" in fields:
        fields["default_payment_method"] = resolve_attached(
            call, fields["default_payment_method"], customer, param="default_payment_method"
        )["id"]
    return fields


@operation("POST", INVOICE.item_path, Shape(_FIELDS))
def update(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    still = {"auto_advance", "metadata", "default_payment_method"} if invoice["status"] == "open" else {"metadata"}
    if invoice["status"] != "draft" and set(params) - still:
        raise StripeError("Finalized invoices can't be updated in this way", code="invoice_not_editable")
    customer = call.load("customer", invoice["customer"])
    fields = _checked(call, params, customer, invoice["collection_method"])
    if "auto_advance" in params and invoice["status"] == "open":
        del fields["automatically_finalizes_at"]
        fields |= advancing(call, params["auto_advance"], invoice["collection_method"], "open")
    if "discounts" in fields:
        fields["discounts"] = _redeemed(call, invoice, customer, fields["discounts"])
    if fields.keys() & {"discounts", "_default_tax_rates", "automatic_tax"}:
        fields |= collection.totals(call, {**invoice, **fields})
    call.update(invoice, fields, "invoice.updated")
    return invoice


@operation("DELETE", INVOICE.item_path)
def delete(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    if invoice["status"] != "draft":
        raise StripeError("You can only delete draft invoices.", code="invoice_not_editable")
    if invoice["_subscription"] is not None:
        raise StripeError("You can't delete invoices created by subscriptions.", code="invoice_not_editable")
    gone = call.delete(invoice, "invoice.deleted")
    give_back(call, invoice)
    discounts.release(call, invoice)
    return gone


@operation("POST", f"{INVOICE.item_path}/finalize", Shape({"auto_advance": Boolean()}))
def finalize(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    if "auto_advance" in params:
        call.change(invoice, {"auto_advance": params["auto_advance"]})
    collection.finalize(call, invoice)
    if invoice["status"] == "open" and invoice["auto_advance"]:
        call.change(invoice, advancing(call, True, invoice["collection_method"], "open"))
    return invoice


@operation(
    "POST",
    f"{INVOICE.item_path}/pay",
    Shape({"off_session": Boolean(), "paid_out_of_band": Boolean(), "payment_method": Text()}),
)
def pay(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    if params.get("paid_out_of_band"):
        collection.pay_out_of_band(call, invoice)
    else:
        collection.pay(call, invoice, params.get("payment_method"))
    return invoice


@operation("POST", f"{INVOICE.item_path}/void")
def void(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    collection.void(call, invoice)
    return invoice


@operation("POST", f"{INVOICE.item_path}/mark_uncollectible")
def mark_uncollectible(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    collection.mark_uncollectible(call, invoice)
    return invoice


@operation("GET", f"{INVOICE.item_path}/lines", Shape(PAGE))
def list_lines(call: Call, params: Params) -> Object:
    invoice = call.addressed("invoice")
    url = f"/v1/invoices/{invoice['id']}/lines"
    return page(call, LINE_ITEM, params, [equals("invoice", invoice["id"])], url)


retrievable(INVOICE)
listable(
    INVOICE,
    {
        **CREATED,
        "collection_method": matches("collection_method", _FIELDS["collection_method"]),
        "customer": matches("customer"),
        "due_date": within("due_date"),
        "status": matches("status", Choice("draft", "open", "paid", "uncollectible", "void")),
        "subscription": matches("_subscription"),
    },
)
