"""The coupons behind an invoice's discounts, which Stripe names by ids of their own."""

from __future__ import annotations

from typing import NamedTuple, cast

from nself.app import App
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import items, part


class Coupons(NamedTuple):
    """Coupons of the invoice in their order, of its lines by line; `discounts` is discount -> coupon."""

    invoice: list[Snapshot]
    lines: dict[str, list[Snapshot]]
    discounts: dict[str, Snapshot]


def of_invoice(app: App, invoice: Snapshot) -> Coupons:
    """Asks Stripe only where there are any."""
    own = {line["id"]: cast("list[str]", line.get("discounts") or []) for line in items(invoice, "lines")}
    if not invoice.get("discounts") and not any(own.values()):
        return Coupons([], {}, {})
    shown = cast("list[Snapshot]", app.stripe.retrieve("invoices", invoice["id"], "discounts").get("discounts") or [])
    if any(own.values()):
        for line in app.stripe.listed("invoices", invoice["id"], "lines", expand=["data.discounts"]):
            shown += cast("list[Snapshot]", line.get("discounts") or [])
    known: dict[str, Snapshot] = {}
    found: dict[str, Snapshot] = {}
    for one in shown:
        coupon = str(part(one, "source").get("coupon"))
        if coupon not in known:
            known[coupon] = app.stripe.retrieve("coupons", coupon, "applies_to")
        found[one["id"]] = known[coupon]
    return Coupons(
        [found[id] for id in cast("list[str]", invoice.get("discounts") or [])],
        {line: [found[id] for id in ids] for line, ids in own.items()},
        found,
    )
