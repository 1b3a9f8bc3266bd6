"""The customer's currency and balance. A negative balance is credit, a positive one is owed."""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.currencies import minimum_charge
from stripe_sandbox.errors import StripeError
from stripe_sandbox.store import Object


def settle_currency(call: Call, customer: Object, currency: str) -> None:
    """The first money that concerns a customer fixes the currency."""
    if customer["currency"] is None:
        call.update(customer, {"currency": currency}, "customer.updated")
    elif customer["currency"] != currency:
        raise StripeError(
            "You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or"
            f" invoice item with currency {customer['currency']}",
            param="currency",
        )


def split(total: int, balance: int, currency: str) -> tuple[int, int]:
    """What an invoice asks for now, and the balance that it leaves.

    Credit is used up first. What is left below the minimum charge is not asked for: it stays on the balance.
    """
    owed = total + balance
    return (owed, 0) if owed >= minimum_charge(currency) else (0, owed)


def change_balance(call: Call, customer_id: str, amount: int, **also: Any) -> None:
    customer = call.load("customer", customer_id)
    if not customer.get("deleted"):
        call.update(customer, {"balance": customer["balance"] + amount, **also}, "customer.updated")
