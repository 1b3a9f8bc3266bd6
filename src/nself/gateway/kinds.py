"""Stripe's kinds of objects that the product mirrors: where they are, and what it takes to have one whole."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """`collection` is the path of the list below /v1. Lists leave out what `filters` do not ask for.

    `nested` is a list inside the object of which Stripe shows the first ten; the rest is at `rest` (`{id}` is the
    object's). `expand` names what is left out unless asked for. `of_customer`: it is listed for one customer only.
    """

    collection: str
    filters: tuple[tuple[str, str], ...] = ()
    nested: str = ""
    rest: str = ""
    expand: tuple[str, ...] = ()
    of_customer: bool = False


KINDS: dict[str, Kind] = {
    "product": Kind("products"),
    "price": Kind("prices", expand=("tiers",)),
    "tax_rate": Kind("tax_rates"),
    "customer": Kind("customers", expand=("tax_ids",)),
    "payment_method": Kind("payment_methods", of_customer=True),
    "subscription": Kind(
        "subscriptions",
        (("status", "all"),),
        nested="items",
        rest="/v1/subscription_items?subscription={id}",
        expand=("schedule",),
    ),
    "invoice": Kind("invoices", nested="lines", rest="/v1/invoices/{id}/lines", expand=("payments",)),
    "payment_intent": Kind("payment_intents"),
    "charge": Kind("charges"),
    "refund": Kind("refunds"),
    "dispute": Kind("disputes"),
    "credit_note": Kind("credit_notes", nested="lines", rest="/v1/credit_notes/{id}/lines"),
}
"""In an order in which what others name comes first."""
