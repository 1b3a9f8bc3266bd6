"""Refunds: money of a charge that goes back, in one piece or in several, never more than came in."""

from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.currencies import display
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Choice, Integer, Metadata, Shape, Text
from stripe_sandbox.resource import (
    ABSENT,
    CREATED,
    Params,
    Resource,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources.balance_transactions import book
from stripe_sandbox.store import Object

REFUND = register(
    Resource(
        kind="refund",
        prefix="re",
        path="/v1/refunds",
        item="refund",
        id_param="refund",
        fields={
            "livemode": ABSENT,
            "amount": 0,
            "balance_transaction": None,
            "charge": None,
            "currency": "",
            "metadata": {},
            "payment_intent": None,
            "reason": None,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
            "destination_details": None,
        },
        references={
            "balance_transaction": "balance_transaction",
            "charge": "charge",
            "failure_balance_transaction": "balance_transaction",
            "payment_intent": "payment_intent",
            "source_transfer_reversal": "transfer_reversal",
            "transfer_reversal": "transfer_reversal",
        },
    )
)

_REASON = Choice("duplicate", "fraudulent", "requested_by_customer")


@operation(
    "POST",
    REFUND.path,
    Shape(
        {
            "amount": Integer(1),
            "charge": Text(),
            "metadata": Metadata(),
            "payment_intent": Text(),
            "reason": _REASON,
        }
    ),
)
def create(call: Call, params: Params) -> Object:
    charge = _charge(call, params)
    also = {name: params[name] for name in ("metadata", "reason") if name in params}
    return refund(call, charge, params.get("amount"), also)


def _charge(call: Call, params: Params) -> Object:
    if "charge" not in params and "payment_intent" not in params:
        raise StripeError(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
            param="payment_intent",
        )
    if "payment_intent" not in params:
        return call.require("charge", params["charge"], param="charge")
    intent = call.require("payment_intent", params["payment_intent"], param="payment_intent")
    if intent["status"] != "succeeded":
        raise StripeError(f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.")
    if params.get("charge", intent["latest_charge"]) != intent["latest_charge"]:
        raise StripeError("The charge does not belong to the payment intent.", param="charge")
    return call.load("charge", intent["latest_charge"])


def refundable(charge: Object) -> int:
    """What of a charge has not been given back, in minor units."""
    return charge["amount_captured"] - charge["amount_refunded"]


def refund(call: Call, charge: Object, amount: int | None, also: dict[str, Any]) -> Object:
    """Without an amount: all that is left."""
    _check(charge, amount)
    given = amount or refundable(charge)
    identifier = ids.new_id(REFUND.prefix)
    made = call.create(
        REFUND,
        {
            "amount": given,
            "balance_transaction": book(call, "refund", identifier, -given, charge["currency"]),
            "charge": charge["id"],
            "currency": charge["currency"],
            "destination_details": _destination(charge),
            "payment_intent": charge["payment_intent"],
            **also,
        },
        identifier=identifier,
    )
    refunded = charge["amount_refunded"] + given
    changed: dict[str, Any] = {"amount_refunded": refunded, "refunded": refunded == charge["amount_captured"]}
    if made["reason"] == "fraudulent":
        changed["fraud_details"] = {"user_report": "fraudulent"}
    previous = call.record(charge, changed)
    call.emit("refund.created", made)
    call.emit("charge.refunded", charge, previous)
    return made


def _check(charge: Object, amount: int | None) -> None:
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise StripeError(f"Charge {charge['id']} was not successfully paid, so it cannot be refunded.", param="charge")
    if charge["disputed"]:
        raise StripeError(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    left, currency = refundable(charge), charge["currency"]
    if left == 0:
        raise StripeError(f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded")
    if amount is not None and amount > left:
        whole = left == charge["amount_captured"]
        raise StripeError(
            f"Refund amount ({display(amount, currency)}) is greater than {'' if whole else 'unrefunded amount on '}"
            f"charge{' amount' if whole else ''} ({display(left, currency)})",
            param="amount",
        )


def _destination(charge: Object) -> Object:
    reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
    return {"card": reference, "type": charge["payment_method_details"]["type"]}


@operation("POST", REFUND.item_path, Shape({"metadata": Metadata()}))
def update(call: Call, params: Params) -> Object:
    found = call.addressed("refund")
    call.update(found, params, "refund.updated")
    return found


@operation("POST", f"{REFUND.item_path}/cancel")
def cancel(call: Call, params: Params) -> Object:
    found = call.addressed("refund")
    raise StripeError(f"You can only cancel refunds that require action. This refund's status is {found['status']}.")


retrievable(REFUND)
listable(
    REFUND,
    {**CREATED, "charge": matches("charge"), "payment_intent": matches("payment_intent")},
)
