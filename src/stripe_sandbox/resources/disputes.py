"""Disputes: a cardholder's bank takes the money back; evidence decides, and here its text says how.

Stripe's test evidence (https://docs.stripe.com/testing#disputes): `uncategorized_text` of `winning_evidence` wins,
`losing_evidence` loses; anything else waits for the bank. There are no fees, as everywhere in the sandbox.
"""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.cards import DisputeReason
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Boolean, Clearable, Metadata, Shape, Text
from stripe_sandbox.resource import CREATED, Params, Resource, listable, matches, operation, register, retrievable
from stripe_sandbox.resources.balance_transactions import book
from stripe_sandbox.store import Object

_TIME_TO_ANSWER = 7 * 86_400
_TEXTS = (
    "access_activity_log", "billing_address", "cancellation_policy_disclosure", "cancellation_rebuttal",
    "customer_email_address", "customer_name", "customer_purchase_ip", "duplicate_charge_explanation",
    "duplicate_charge_id", "product_description", "refund_policy_disclosure", "refund_refusal_explanation",
    "service_date", "shipping_address", "shipping_carrier", "shipping_date", "shipping_tracking_number",
    "uncategorized_text",
)  # fmt: skip
_FILES = (
    "cancellation_policy", "customer_communication", "customer_signature", "duplicate_charge_documentation",
    "receipt", "refund_policy", "service_documentation", "shipping_documentation", "uncategorized_file",
)  # fmt: skip
_OPEN = ("needs_response", "under_review")


def _entries(call: Call, dispute: Object) -> list[Object]:
    return [call.show(call.load("balance_transaction", one)) for one in dispute["_entries"]]


def _details(call: Call, dispute: Object) -> Object:
    due = dispute["_due_by"]
    count = dispute["_submissions"]
    return {
        "due_by": due,
        "enhanced_eligibility": {},
        "has_evidence": any(dispute["evidence"][name] for name in (*_TEXTS, *_FILES)),
        "past_due": call.now > due and not count,
        "submission_count": count,
    }


DISPUTE = register(
    Resource(
        kind="dispute",
        prefix="du",
        path="/v1/disputes",
        item="dispute",
        id_param="dispute",
        fields={
            "amount": 0,
            "charge": "",
            "currency": "",
            "enhanced_eligibility_types": [],
            "evidence": {**dict.fromkeys((*_TEXTS, *_FILES)), "enhanced_evidence": {}},
            "is_charge_refundable": False,
            "metadata": {},
            "payment_intent": None,
            "reason": "general",
            "status": "needs_response",
            "_due_by": 0,
            "_entries": [],
            "_submissions": 0,
        },
        references={"charge": "charge", "payment_intent": "payment_intent"},
        embedded={"balance_transactions": _entries, "evidence_details": _details},
    )
)


def dispute(call: Call, charge: Object, reason: DisputeReason) -> None:
    """The whole charge is disputed and its money withdrawn."""
    made = call.create(
        DISPUTE,
        {
            "amount": charge["amount_captured"],
            "charge": charge["id"],
            "currency": charge["currency"],
            "payment_intent": charge["payment_intent"],
            "reason": reason,
            "_due_by": call.now + _TIME_TO_ANSWER,
        },
    )
    call.update(charge, {"disputed": True}, "charge.updated")
    call.emit("charge.dispute.created", made)
    _move(call, made, -made["amount"], "charge.dispute.funds_withdrawn")


def _move(call: Call, found: Object, amount: int, event: str) -> None:
    entry = book(call, "adjustment", found["id"], amount, found["currency"], category="dispute")
    call.change(found, {"_entries": [*found["_entries"], entry]})
    call.emit(event, found)


@operation(
    "POST",
    DISPUTE.item_path,
    Shape(
        {
            "evidence": Shape({name: Clearable(Text(20_000)) for name in _TEXTS}),
            "metadata": Metadata(),
            "submit": Boolean(),
        }
    ),
)
def update(call: Call, params: Params) -> Object:
    """Evidence goes to the bank at once, unless `submit` is false; then it only waits here."""
    found = call.addressed("dispute")
    if "evidence" in params and found["status"] not in _OPEN:
        raise StripeError(f"This dispute is {found['status']}; its evidence can no longer be changed.")
    fields: dict[str, Any] = {"metadata": params["metadata"]} if "metadata" in params else {}
    if "evidence" in params:
        fields["evidence"] = {**found["evidence"], **params["evidence"]}
    submits = params.get("submit", "evidence" in params)
    if submits:
        fields |= {"status": "under_review", "_submissions": found["_submissions"] + 1}
    call.update(found, fields, "charge.dispute.updated")
    if submits:
        _decide(call, found)
    return found


def _decide(call: Call, found: Object) -> None:
    match found["evidence"]["uncategorized_text"]:
        case "winning_evidence":
            _end(call, found, "won")
            _move(call, found, found["amount"], "charge.dispute.funds_reinstated")
        case "losing_evidence":
            _end(call, found, "lost")
        case _:
            pass


def _end(call: Call, found: Object, status: str) -> None:
    previous = call.change(found, {"status": status})
    call.emit("charge.dispute.closed", found, previous)


@operation("POST", f"{DISPUTE.item_path}/close")
def close(call: Call, params: Params) -> Object:
    """Giving in: the dispute is lost."""
    found = call.addressed("dispute")
    if found["status"] not in _OPEN:
        raise StripeError("This dispute is already closed.")
    _end(call, found, "lost")
    return found


retrievable(DISPUTE)
listable(DISPUTE, {**CREATED, "charge": matches("charge"), "payment_intent": matches("payment_intent")})
