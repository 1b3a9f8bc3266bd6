"""Credit notes: what is taken back of a finalised invoice. What one is worth stands in `crediting`."""

from typing import Any

from stripe_sandbox import collection, crediting, ids
from stripe_sandbox.call import Call
from stripe_sandbox.crediting import Plan
from stripe_sandbox.errors import StripeError
from stripe_sandbox.ledger import change_balance
from stripe_sandbox.params import Choice, Integer, Items, Metadata, MetadataPatch, Number, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    CREATED,
    PAGE,
    Params,
    Resource,
    list_of,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources.refunds import refund
from stripe_sandbox.store import Object

_SHOWN = 10


def _lines(call: Call, note: Object) -> Object:
    lines = note["_lines"]
    return list_of(lines[:_SHOWN], f"/v1/credit_notes/{note['id']}/lines", has_more=len(lines) > _SHOWN)


CREDIT_NOTE = register(
    Resource(
        kind="credit_note",
        prefix="cn",
        path="/v1/credit_notes",
        item="id",
        title="credit note",
        fields={
            "amount": 0,
            "amount_shipping": 0,
            "currency": "",
            "customer": "",
            "customer_account": None,
            "customer_balance_transaction": None,
            "discount_amount": 0,
            "discount_amounts": [],
            "effective_at": None,
            "invoice": "",
            "memo": None,
            "metadata": {},
            "number": "",
            "out_of_band_amount": None,
            "pdf": "",
            "post_payment_amount": 0,
            "pre_payment_amount": 0,
            "pretax_credit_amounts": [],
            "reason": None,
            "refunds": [],
            "shipping_cost": None,
            "status": "issued",
            "subtotal": 0,
            "subtotal_excluding_tax": 0,
            "total": 0,
            "total_excluding_tax": 0,
            "total_taxes": [],
            "type": "post_payment",
            "voided_at": None,
            "_lines": [],
        },
        references={
            "customer": "customer",
            "customer_balance_transaction": "customer_balance_transaction",
            "discount_amounts.discount": "discount",
            "invoice": "invoice",
            "refunds.refund": "refund",
            "total_taxes.tax_rate_details.tax_rate": "tax_rate",
        },
        embedded={"lines": _lines},
    )
)

_LINE = Shape(
    {
        "amount": Integer(1),
        "description": Text(),
        "invoice_line_item": Text(),
        "quantity": Integer(1),
        "type": Choice("custom_line_item", "invoice_line_item"),
        "unit_amount": Integer(1),
        "unit_amount_decimal": Number(),
    },
    required=("type",),
)
_CONTENT = {
    "amount": Integer(1),
    "credit_amount": Integer(0),
    "effective_at": Timestamp(),
    "email_type": Choice("credit_note", "none"),
    "invoice": Text(),
    "lines": Items(_LINE, 250),
    "memo": Text(),
    "metadata": Metadata(),
    "out_of_band_amount": Integer(0),
    "reason": Choice("duplicate", "fraudulent", "order_change", "product_unsatisfactory"),
    "refund_amount": Integer(0),
    "refunds": Items(Shape({"amount_refunded": Integer(1), "refund": Text()}, required=("refund",)), 20),
}


@operation("POST", CREDIT_NOTE.path, Shape(_CONTENT, required=("invoice",)))
def create(call: Call, params: Params) -> Object:
    invoice = call.require("invoice", params["invoice"], param="invoice")
    _read_refunds(call, invoice, params)
    plan = crediting.plan(call, invoice, params)
    identifier = ids.new_id(CREDIT_NOTE.prefix)
    given = [{"amount_refunded": one["amount_refunded"], "refund": one["refund"]} for one in params.get("refunds", [])]
    if params.get("refund_amount"):
        made = refund(call, _charge(call, invoice), params["refund_amount"], {})
        given.append({"amount_refunded": made["amount"], "refund": made["id"]})
    fields = _fields(call, invoice, params, plan)
    fields["refunds"] = [{**one, "payment_record_refund": None, "type": "refund"} for one in given]
    if params.get("credit_amount"):
        about = {"credit_note": identifier, "invoice": invoice["id"]}
        entry = change_balance(call, invoice["customer"], -params["credit_amount"], "credit_note", about)
        if entry is None:
            raise StripeError("The customer was deleted, so there is nobody to credit.", param="credit_amount")
        fields["customer_balance_transaction"] = entry["id"]
    note = call.create(CREDIT_NOTE, fields, identifier=identifier)
    collection.credit(call, invoice, pre_payment=plan.pre_payment, post_payment=plan.post_payment)
    call.emit("credit_note.created", note)
    return note


def _read_refunds(call: Call, invoice: Object, params: Params) -> None:
    """Refunds that were made before and that the note explains; no more of each than there is."""
    for at, one in enumerate(params.get("refunds", [])):
        here = f"refunds[{at}]"
        found = call.require("refund", one["refund"], param=f"{here}[refund]")
        if found["charge"] != _charge(call, invoice)["id"]:
            raise StripeError("The refund is not one of this invoice's payment.", param=f"{here}[refund]")
        linked = sum(
            other["amount_refunded"]
            for note in crediting.issued(call, invoice)
            for other in note["refunds"]
            if other["refund"] == found["id"]
        )
        one.setdefault("amount_refunded", found["amount"] - linked)
        if not 0 < one["amount_refunded"] <= found["amount"] - linked:
            raise StripeError("The refund does not have that much left.", param=f"{here}[amount_refunded]")


def _charge(call: Call, invoice: Object) -> Object:
    for payment in call.find("invoice_payment", invoice=invoice["id"], status="paid"):
        intent = call.load("payment_intent", payment["payment"]["payment_intent"])
        return call.load("charge", intent["latest_charge"])
    raise StripeError("This invoice has no payment that could be refunded.", param="refund_amount")


def _fields(call: Call, invoice: Object, params: Params, plan: Plan) -> dict[str, Any]:
    subtotal = sum(line["amount"] for line in plan.lines)
    taxes, inclusive = _summed_taxes(plan.lines)
    discounts = _summed_discounts(plan.lines)
    kind = "mixed" if plan.pre_payment and plan.post_payment else "pre_payment" if plan.pre_payment else "post_payment"
    kept = ("effective_at", "memo", "metadata", "out_of_band_amount", "reason")
    return {
        **{name: params[name] for name in kept if name in params},
        "pdf": call.page("invoice", invoice["id"]),
        "amount": plan.total,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "discount_amount": sum(discounts.values()),
        "discount_amounts": [{"amount": part, "discount": one} for one, part in discounts.items()],
        "effective_at": params.get("effective_at", call.now),
        "invoice": invoice["id"],
        "number": f"{invoice['number']}-CN-{len(call.find('credit_note', invoice=invoice['id'])) + 1:02d}",
        "post_payment_amount": plan.post_payment,
        "pre_payment_amount": plan.pre_payment,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive,
        "total": plan.total,
        "total_excluding_tax": plan.total - sum(tax["amount"] for tax in taxes),
        "total_taxes": taxes,
        "type": kind,
        "_lines": plan.lines,
    }


def _summed_taxes(lines: list[Object]) -> tuple[list[Object], int]:
    """By rate, and how much of them is inside the amounts."""
    found: dict[tuple[str, str, str], Object] = {}
    for tax in (tax for line in lines for tax in line["taxes"]):
        key = (tax["tax_rate_details"]["tax_rate"], tax["tax_behavior"], tax["taxability_reason"])
        so_far = found.get(key, {"amount": 0, "taxable_amount": 0})
        found[key] = {**tax, **{name: tax[name] + so_far[name] for name in ("amount", "taxable_amount")}}
    taxes = list(found.values())
    return taxes, sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")


def _summed_discounts(lines: list[Object]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in (one for line in lines for one in line["discount_amounts"]):
        found[one["discount"]] = found.get(one["discount"], 0) + one["amount"]
    return found


@operation("GET", f"{CREDIT_NOTE.path}/preview", Shape(_CONTENT, required=("invoice",)))
def preview(call: Call, params: Params) -> Object:
    """What `create` would make; nothing is stored."""
    return _previewed(call, params)


def _previewed(call: Call, params: Params) -> Object:
    invoice = call.require("invoice", params["invoice"], param="invoice")
    _read_refunds(call, invoice, params)
    if params.get("refund_amount"):
        _charge(call, invoice)
    fields = _fields(call, invoice, params, crediting.plan(call, invoice, params))
    metadata: MetadataPatch | None = params.get("metadata")
    note = CREDIT_NOTE.new(ids.new_id(CREDIT_NOTE.prefix), call.now)
    return {**note, **fields, "metadata": metadata.applied_to({}) if metadata else {}}


@operation("GET", f"{CREDIT_NOTE.path}/preview/lines", Shape({**_CONTENT, **PAGE}, required=("invoice",)))
def preview_lines(call: Call, params: Params) -> Object:
    return _page(_previewed(call, params)["_lines"], params, f"{CREDIT_NOTE.path}/preview/lines")


@operation("GET", f"{CREDIT_NOTE.path}/{{credit_note}}/lines", Shape(PAGE))
def list_lines(call: Call, params: Params) -> Object:
    note = call.require("credit_note", call.path["credit_note"], param="credit_note")
    return _page(note["_lines"], params, f"/v1/credit_notes/{note['id']}/lines")


def _page(lines: list[Object], params: Params, url: str) -> Object:
    limit = params.get("limit", 10)
    places = {line["id"]: at for at, line in enumerate(lines)}
    start, end = 0, len(lines)
    if "starting_after" in params:
        start = places.get(params["starting_after"], -1) + 1
    if "ending_before" in params:
        end = places.get(params["ending_before"], len(lines))
        return list_of(lines[max(0, end - limit) : end], url, has_more=end > limit)
    return list_of(lines[start : start + limit], url, has_more=end > start + limit)


@operation("POST", CREDIT_NOTE.item_path, Shape({"memo": Text(), "metadata": Metadata()}))
def update(call: Call, params: Params) -> Object:
    note = call.addressed("credit_note")
    call.update(note, params, "credit_note.updated")
    return note


@operation("POST", f"{CREDIT_NOTE.item_path}/void")
def void(call: Call, params: Params) -> Object:
    """Only while the invoice is open: what was paid out does not come back."""
    note = call.addressed("credit_note")
    invoice = call.load("invoice", note["invoice"])
    if note["status"] == "void":
        raise StripeError("This credit note has already been voided.")
    if invoice["status"] != "open" or note["post_payment_amount"]:
        raise StripeError("You can only void credit notes that are associated with an open invoice.")
    call.change(note, {"status": "void", "voided_at": call.now})
    collection.credit(call, invoice, pre_payment=-note["pre_payment_amount"], post_payment=0)
    call.emit("credit_note.voided", note)
    return note


retrievable(CREDIT_NOTE)
listable(CREDIT_NOTE, {**CREATED, "customer": matches("customer"), "invoice": matches("invoice")})
