"""Customer balance transactions: each change of what a customer has as credit (negative) or owes (positive)."""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.errors import no_such
from stripe_sandbox.ledger import change_balance, settle_currency
from stripe_sandbox.params import Clearable, Currency, Integer, Metadata, Shape, Text
from stripe_sandbox.resource import (
    CREATED,
    PAGE,
    Params,
    Resource,
    operation,
    page,
    register,
)
from stripe_sandbox.store import Object, equals

CUSTOMER_BALANCE_TRANSACTION = register(
    Resource(
        kind="customer_balance_transaction",
        prefix="cbtxn",
        path="/v1/customers/{customer}/balance_transactions",
        item="transaction",
        title="customer balance transaction",
        id_param="transaction",
        fields={
            "amount": 0,
            "checkout_session": None,
            "credit_note": None,
            "currency": "",
            "customer": "",
            "customer_account": None,
            "description": None,
            "ending_balance": 0,
            "invoice": None,
            "metadata": {},
            "type": "adjustment",
        },
        references={
            "checkout_session": "checkout.session",
            "credit_note": "credit_note",
            "customer": "customer",
            "invoice": "invoice",
        },
    )
)

_FIELDS = {"description": Clearable(Text(350)), "metadata": Metadata()}


@operation(
    "POST",
    CUSTOMER_BALANCE_TRANSACTION.path,
    Shape({**_FIELDS, "amount": Integer(), "currency": Currency()}, required=("amount", "currency")),
)
def create(call: Call, params: Params) -> Object:
    customer = call.addressed("customer")
    settle_currency(call, customer, params["currency"])
    also = {name: params[name] for name in _FIELDS if name in params}
    made = change_balance(call, customer["id"], params["amount"], note=also)
    assert made is not None
    return made


def _of_customer(call: Call) -> Object:
    customer = call.addressed("customer")
    transaction = call.addressed("customer_balance_transaction")
    if transaction["customer"] != customer["id"]:
        raise no_such("customer balance transaction", transaction["id"], "transaction", status=404)
    return transaction


@operation("GET", CUSTOMER_BALANCE_TRANSACTION.item_path)
def retrieve(call: Call, params: Params) -> Object:
    return _of_customer(call)


@operation("POST", CUSTOMER_BALANCE_TRANSACTION.item_path, Shape(_FIELDS))
def update(call: Call, params: Params) -> Object:
    transaction = _of_customer(call)
    call.change(transaction, params)
    return transaction


@operation(
    "GET",
    CUSTOMER_BALANCE_TRANSACTION.path,
    Shape({**PAGE, "created": CREATED["created"].kind, "invoice": Text()}),
)
def list_of_customer(call: Call, params: Params) -> Object:
    customer = call.addressed("customer")
    conditions: list[Any] = [equals("customer", customer["id"])]
    if "invoice" in params:
        conditions.append(equals("invoice", params["invoice"]))
    if "created" in params:
        conditions.append(CREATED["created"].condition(call, params["created"]))
    url = f"/v1/customers/{customer['id']}/balance_transactions"
    return page(call, CUSTOMER_BALANCE_TRANSACTION, params, conditions, url)
