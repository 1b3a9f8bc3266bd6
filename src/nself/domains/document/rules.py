"""Pure: what an invoice of Stripe says, checked to add up, and which changes of it ask for a new PDF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import cast

import msgspec

from nself.core.money import Money, exponent
from nself.domains.connection.rules import items, part
from nself.domains.document.errors import AddsNotUp
from nself.domains.document.model import Bill, BillLine, Party, Percent, Tax
from nself.domains.mirror.model import Snapshot

MAX_ATTEMPTS = 8
FINAL = ("open", "paid", "void", "uncollectible")
PAUSES = (5, 15, 60, 300, 900, 3600)


def pause(attempts: int) -> timedelta:
    """Until what failed for a reason that passes is tried again."""
    return timedelta(seconds=PAUSES[min(attempts, len(PAUSES)) - 1])


def asks_for_pdf(before: Snapshot | None, after: Snapshot) -> bool:
    """Whether an invoice was finalised, or became void after that: its document says so."""
    status, was = after.get("status"), (before or {}).get("status")
    return status in FINAL and (was not in FINAL or (status == "void" and was != "void"))


def finalized_at(snapshot: Snapshot) -> int:
    """Unix time; of what Stripe gives none, when it was created."""
    return part(snapshot, "status_transitions").get("finalized_at") or snapshot.get("created") or 0


def rate_ids(snapshot: Snapshot) -> list[str]:
    """Of the tax rates that an invoice names."""
    taxes = [tax for one in (snapshot, *items(snapshot, "lines")) for tax in _listed(one, "taxes", "total_taxes")]
    return sorted({id for tax in taxes if (id := part(tax, "tax_rate_details").get("tax_rate"))})


def percents(rates: Mapping[str, Snapshot]) -> dict[str, Percent]:
    return {
        id: Percent(str(one.get("display_name") or ""), Decimal(str(one["percentage"])))
        for id, one in rates.items()
        if one.get("percentage") is not None
    }


def bill(snapshot: Snapshot, rates: Mapping[str, Percent], seller: Party, zone: tzinfo, today: date) -> Bill:
    """What the invoice says, as it was issued; a draft as of `today`. Raises AddsNotUp."""
    transitions = part(snapshot, "status_transitions")
    issued = snapshot.get("effective_at") or transitions.get("finalized_at")
    lines = [_line(one, rates, zone, snapshot["currency"]) for one in items(snapshot, "lines")]
    balance, credited = _settled(snapshot)
    made = Bill(
        id=snapshot["id"],
        number=snapshot.get("number") or "",
        status=snapshot["status"],
        currency=snapshot["currency"],
        issued_on=_day(issued, zone) if issued else today,
        issued_at=issued or snapshot["created"],
        due_on=_day(snapshot["due_date"], zone) if snapshot.get("due_date") else None,
        automatic=snapshot.get("collection_method") == "charge_automatically",
        seller=seller,
        buyer=_buyer(snapshot),
        exempt=snapshot.get("customer_tax_exempt") or "none",
        lines=lines,
        subtotal_minor=sum(line.amount_minor for line in lines),
        discount_minor=sum(one["amount"] for one in _listed(snapshot, "total_discount_amounts")),
        taxes=[_tax(one, rates) for one in _listed(snapshot, "total_taxes")],
        shipping_minor=int(part(snapshot, "shipping_cost").get("amount_total") or 0),
        total_minor=snapshot["total"],
        balance_minor=balance,
        credited_minor=credited,
        due_minor=snapshot["amount_due"],
        description=snapshot.get("description") or "",
        footer=snapshot.get("footer") or "",
        fields=[(str(one["name"]), str(one["value"])) for one in _listed(snapshot, "custom_fields")],
    )
    _check(made)
    return made


def _listed(snapshot: Snapshot, *names: str) -> list[Snapshot]:
    """A plain list of a snapshot, under the first of `names` that is there."""
    for name in names:
        if found := cast("list[Snapshot] | None", snapshot.get(name)):
            return found
    return []


def _day(seconds: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone).date()


def _line(one: Snapshot, rates: Mapping[str, Percent], zone: tzinfo, currency: str) -> BillLine:
    period = part(one, "period")
    start, end = period.get("start"), period.get("end")
    quantity = one.get("quantity_decimal") or one.get("quantity")
    unit = part(one, "pricing").get("unit_amount_decimal")
    made = BillLine(
        text=one.get("description") or "",
        first=_day(start, zone) if start else None,
        last=_day(max(start or 0, end - 1), zone) if end else None,
        quantity=None if quantity is None else Decimal(str(quantity)),
        unit_price=None if unit is None else Decimal(str(unit)).scaleb(-exponent(currency)),
        amount_minor=one["amount"],
        discount_minor=sum(cut["amount"] for cut in _listed(one, "discount_amounts")),
        taxes=[_tax(tax, rates) for tax in _listed(one, "taxes")],
    )
    return made if _explains(made, currency) else msgspec.structs.replace(made, unit_price=None)


def _explains(line: BillLine, currency: str) -> bool:
    """Whether quantity times unit price is the amount: with tiers and prorations it is not."""
    if line.quantity is None or line.unit_price is None:
        return False
    exact = (line.quantity * line.unit_price).scaleb(exponent(currency))
    return exact.quantize(Decimal(1), ROUND_HALF_UP) == line.amount_minor


def _tax(one: Snapshot, rates: Mapping[str, Percent]) -> Tax:
    id = part(one, "tax_rate_details").get("tax_rate") or ""
    return Tax(
        id=id,
        rate=rates.get(id),
        inclusive=one.get("tax_behavior") == "inclusive",
        amount_minor=one["amount"],
        base_minor=one.get("taxable_amount"),
        reason=one.get("taxability_reason") or "",
    )


def _buyer(snapshot: Snapshot) -> Party:
    """Whom Stripe wrote on the invoice; where it has no name, who is told by the address of the mail."""
    address, email = part(snapshot, "customer_address"), snapshot.get("customer_email") or ""
    return Party(
        name=snapshot.get("customer_name") or email or str(snapshot.get("customer") or ""),
        street=[text for name in ("line1", "line2") if (text := address.get(name))],
        postal_code=address.get("postal_code") or "",
        city=address.get("city") or "",
        region=address.get("state") or "",
        country=address.get("country") or "",
        email=email,
        tax_ids=[(str(one["type"]), str(one["value"])) for one in _listed(snapshot, "customer_tax_ids")],
    )


def _settled(snapshot: Snapshot) -> tuple[int, int]:
    """What the customer's balance added to the total, and what credit notes took off before payment."""
    before, after = snapshot.get("starting_balance") or 0, snapshot.get("ending_balance")
    owed, total = snapshot["amount_due"], snapshot["total"]
    if after is None:
        return owed - total, 0
    credited = int(snapshot.get("pre_payment_credit_notes_amount") or 0)
    return before - after, credited if owed != total + before - after else 0


def _check(one: Bill) -> None:
    added = sum(tax.amount_minor for tax in one.taxes if not tax.inclusive)
    total = one.subtotal_minor - one.discount_minor + added + one.shipping_minor
    sums: Sequence[tuple[str, int, int]] = (
        ("lines, discounts and taxes make {made}, the total is {said}", total, one.total_minor),
        ("the discounts of the lines make {made}, those of the invoice {said}",
         sum(line.discount_minor for line in one.lines), one.discount_minor),
        ("total, balance and credit notes make {made}, the amount due is {said}",
         one.total_minor + one.balance_minor - one.credited_minor, one.due_minor),
    )  # fmt: skip
    for what, made, said in sums:
        if made != said:
            words = what.format(made=Money(made, one.currency), said=Money(said, one.currency))
            raise AddsNotUp(invoice=one.id, what=words)
