"""Invoice payments: which payment intent pays which invoice, and how far it came."""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.params import Choice, Shape, Text
from stripe_sandbox.resource import CREATED, Filter, Resource, listable, matches, register, retrievable
from stripe_sandbox.store import Condition

INVOICE_PAYMENT = register(
    Resource(
        kind="invoice_payment",
        prefix="inpay",
        path="/v1/invoice_payments",
        item="invoice_payment",
        id_param="invoice_payment",
        fields={
            "amount_paid": None,
            "amount_requested": 0,
            "currency": "",
            "invoice": "",
            "is_default": True,
            "payment": {},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        },
        references={
            "invoice": "invoice",
            "payment.payment_intent": "payment_intent",
            "payment.charge": "charge",
        },
    )
)


def _by_payment(call: Call, wanted: dict[str, Any]) -> Condition:
    return Condition("data ->> '$.payment.payment_intent' = ?", (wanted.get("payment_intent"),))


retrievable(INVOICE_PAYMENT)
listable(
    INVOICE_PAYMENT,
    {
        **CREATED,
        "invoice": matches("invoice"),
        "payment": Filter(
            Shape(
                {"type": Choice("payment_intent"), "payment_intent": Text()},
                required=("type", "payment_intent"),
            ),
            _by_payment,
        ),
        "status": matches("status", Choice("canceled", "open", "paid")),
    },
)
