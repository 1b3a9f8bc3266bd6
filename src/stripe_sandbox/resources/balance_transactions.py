"""Balance transactions: each movement of the account's own money. Gross: there are no fees and no payouts."""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.params import Currency
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
from stripe_sandbox.store import Object

_AVAILABLE_AFTER = 2 * 86400  # two days, as for cards of an account in the US


def _status(call: Call, transaction: Object) -> str:
    return "available" if transaction["available_on"] <= call.now else "pending"


BALANCE_TRANSACTION = register(
    Resource(
        kind="balance_transaction",
        prefix="txn",
        path="/v1/balance_transactions",
        item="id",
        title="balance transaction",
        fields={
            "livemode": ABSENT,
            "amount": 0,
            "available_on": 0,
            "balance_type": "payments",
            "currency": "",
            "description": None,
            "exchange_rate": None,
            "fee": 0,
            "fee_details": [],
            "net": 0,
            "reporting_category": "",
            "source": None,
            "type": "",
        },
        references={"source": "charge|refund|dispute"},
        embedded={"status": _status},
    )
)


def book(call: Call, kind: str, source: str, amount: int, currency: str, *, category: str = "") -> str:
    """`amount` in minor units, negative when money leaves; gives the transaction's id."""
    fields: dict[str, Any] = {
        "amount": amount,
        "available_on": call.now + _AVAILABLE_AFTER,
        "currency": currency,
        "net": amount,
        "reporting_category": category or kind,
        "source": source,
        "type": kind,
    }
    return call.create(BALANCE_TRANSACTION, fields)["id"]


@operation("GET", "/v1/balance")
def retrieve_balance(call: Call, params: Params) -> Object:
    """The sum of the balance transactions, in currencies that had any."""
    sums = call.store.rows(
        "SELECT data ->> '$.currency',"
        " sum(CASE WHEN data ->> '$.available_on' <= ?1 THEN data ->> '$.net' ELSE 0 END),"
        " sum(CASE WHEN data ->> '$.available_on' > ?1 THEN data ->> '$.net' ELSE 0 END)"
        " FROM objects WHERE kind = 'balance_transaction' GROUP BY 1 ORDER BY 1",
        call.now,
    ) or [("usd", 0, 0)]
    available, pending = (
        [
            {"amount": row[column], "currency": row[0], "source_types": {"card": row[column]}}
            for row in sums
        ]
        for column in (1, 2)
    )  # fmt: skip
    return {"object": "balance", "available": available, "livemode": False, "pending": pending}


retrievable(BALANCE_TRANSACTION)
listable(
    BALANCE_TRANSACTION,
    {
        **CREATED,
        "currency": matches("currency", Currency()),
        "source": matches("source"),
        "type": matches("type"),
    },
)
