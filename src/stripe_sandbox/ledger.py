"""The customer's currency and balance. A negative balance is credit, a positive one is owed."""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.currencies import minimum_charge
from stripe_sandbox.errors import StripeError
from stripe_sandbox.resource import RESOURCES
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
    """What an invoice asks for now, and the balance that it leaves, in minor units.

    Credit is used up first. What is left below the minimum charge is not asked for: it stays on the balance.
    """
    owed = total + balance
    return (owed, 0) if owed >= minimum_charge(currency) else (0, owed)


def movements(total: int, balance: int, currency: str) -> list[tuple[str, int]]:
    """How finalising an invoice moves the balance: types of customer balance transactions and their amounts.

    They add up to what `split` leaves, less what there was. Credit of 300 on 330 dollar cents: the 300 are
    applied, and the 30 that are left are too small to ask for, so they are owed: (applied, 300), (too small, 30).
    """
    asked, left = split(total, balance, currency)
    if asked or left <= 0:
        found = [("applied_to_invoice", left - balance)]
    else:
        credit = min(balance, 0)
        found = [("applied_to_invoice", -credit), ("invoice_too_small", left - balance + credit)]
    return [(kind, amount) for kind, amount in found if amount]


def apply_to_invoice(call: Call, invoice: Object, customer: Object, total: int) -> int:
    """Finalising: the balance moves, the customer's next number is used up; what the balance is now."""
    moved = movements(total, customer["balance"], invoice["currency"])
    for kind, amount in moved:
        _note(call, customer, amount, kind, {"invoice": invoice["id"]}, invoice["currency"])
        customer["balance"] += amount
    left: int = customer["balance"]
    stored = call.load("customer", customer["id"])
    changed = {"balance": left, "next_invoice_sequence": stored["next_invoice_sequence"] + 1}
    call.update(stored, changed, "customer.updated")
    return left


def change_balance(
    call: Call, customer_id: str, amount: int, kind: str = "adjustment", note: dict[str, Any] | None = None, **also: Any
) -> Object | None:
    """The customer's balance and the transaction that explains the change; nothing for a deleted customer."""
    customer = call.load("customer", customer_id)
    if customer.get("deleted"):
        return None
    made = (
        _note(call, customer, amount, kind, note or {}, customer["currency"] or "usd") if amount or not also else None
    )
    call.update(customer, {"balance": customer["balance"] + amount, **also}, "customer.updated")
    return made


def note_balance(call: Call, customer: Object, before: int) -> None:
    """The transaction of a balance that the customer's own update changed."""
    changed = customer["balance"] - before
    if changed:
        _note(call, {**customer, "balance": before}, changed, "adjustment", {}, customer["currency"] or "usd")


def _note(call: Call, customer: Object, amount: int, kind: str, note: dict[str, Any], currency: str) -> Object:
    return call.create(
        RESOURCES["customer_balance_transaction"],
        {
            "amount": amount,
            "currency": currency,
            "customer": customer["id"],
            "ending_balance": customer["balance"] + amount,
            "type": kind,
            **note,
        },
    )
