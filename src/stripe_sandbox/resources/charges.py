"""Charges: each single attempt to take money."""

from stripe_sandbox.resource import CREATED, Resource, listable, matches, not_here, register, retrievable
from stripe_sandbox.resources.shapes import NO_BILLING_DETAILS

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
        included={"refunds": not_here("refunds")},
    )
)

retrievable(CHARGE)
listable(
    CHARGE,
    {**CREATED, "customer": matches("customer"), "payment_intent": matches("payment_intent")},
)
