"""Kinds of Stripe's objects that are mirrored as they are. Customers and invoices have rows of their own."""

from nself.core.entrypoint import Mirror, Row

ROWS: tuple[Row, ...] = tuple(
    Mirror(kind=kind, apply="mirror.service:keep")
    for kind in (
        "product",
        "price",
        "tax_rate",
        "payment_method",
        "subscription",
        "payment_intent",
        "charge",
        "refund",
        "dispute",
        "credit_note",
    )
)
