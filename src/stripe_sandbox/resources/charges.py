"""Charges: each single attempt to take money."""

from stripe_sandbox.call import Call
from stripe_sandbox.params import Choice, Clearable, Metadata, Shape, Text
from stripe_sandbox.resource import (
    CREATED,
    PAGE,
    Params,
    Resource,
    list_of,
    listable,
    matches,
    operation,
    page,
    register,
    retrievable,
)
from stripe_sandbox.resources.refunds import REFUND
from stripe_sandbox.resources.shapes import NO_BILLING_DETAILS
from stripe_sandbox.store import Object, equals


def _refunds(call: Call, charge: Object) -> Object:
    made = call.find("refund", charge=charge["id"])
    return list_of(made[:10], f"/v1/charges/{charge['id']}/refunds", has_more=len(made) > 10)


CHARGE = register(
    Resource(
        kind="charge",
        prefix="ch",
        path="/v1/charges",
        item="charge",
        id_param="charge",
        fields={
            "amount": 0,
            "amount_captured": 0,
            "amount_refunded": 0,
            "application": None,
            "application_fee": None,
            "application_fee_amount": None,
            "balance_transaction": None,
            "billing_details": NO_BILLING_DETAILS,
            "calculated_statement_descriptor": "SANDBOX",
            "captured": False,
            "currency": "",
            "customer": None,
            "description": None,
            "disputed": False,
            "failure_balance_transaction": None,
            "failure_code": None,
            "failure_message": None,
            "fraud_details": {},
            "metadata": {},
            "on_behalf_of": None,
            "outcome": None,
            "paid": False,
            "payment_intent": None,
            "payment_method": None,
            "payment_method_details": None,
            "radar_options": {},
            "receipt_email": None,
            "receipt_number": None,
            "receipt_url": None,
            "refunded": False,
            "review": None,
            "shipping": None,
            "source_transfer": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "pending",
            "transfer_data": None,
            "transfer_group": None,
        },
        references={
            "application": "application",
            "application_fee": "application_fee",
            "balance_transaction": "balance_transaction",
            "customer": "customer",
            "failure_balance_transaction": "balance_transaction",
            "on_behalf_of": "account",
            "payment_intent": "payment_intent",
            "review": "review",
            "source_transfer": "transfer",
        },
        included={"refunds": _refunds},
    )
)


@operation(
    "POST",
    CHARGE.item_path,
    Shape(
        {
            "description": Clearable(Text(40000)),
            "fraud_details": Shape({"user_report": Choice("fraudulent", "safe")}, required=("user_report",)),
            "metadata": Metadata(),
            "receipt_email": Text(800),
        }
    ),
)
def update(call: Call, params: Params) -> Object:
    charge = call.addressed("charge")
    call.update(charge, params, "charge.updated")
    return charge


@operation("GET", f"{CHARGE.item_path}/refunds", Shape(PAGE))
def list_refunds(call: Call, params: Params) -> Object:
    charge = call.addressed("charge")
    return page(call, REFUND, params, [equals("charge", charge["id"])], f"/v1/charges/{charge['id']}/refunds")


retrievable(CHARGE)
listable(
    CHARGE,
    {**CREATED, "customer": matches("customer"), "payment_intent": matches("payment_intent")},
)
