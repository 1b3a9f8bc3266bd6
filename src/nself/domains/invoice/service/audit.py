"""Every line and total of an invoice worked out again, from prices, usage, prorations, discounts, taxes and balance.

Each figure is worked out from the ones before it as they stand on the invoice, so that a cent is named once, where it
comes in; `expected_total_minor` is worked out through and through.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple, cast

import msgspec

from nself import log
from nself.app import App
from nself.core.money import Money
from nself.core.period import Period
from nself.domains.catalog.rating import rate
from nself.domains.connection.model import Snapshot
from nself.domains.connection.rules import MARK, items, part
from nself.domains.connection.service import intents
from nself.domains.invoice import figures, formulas, rating, rules, store
from nself.domains.invoice.figures import Discount, Line, Rate, Totals
from nself.domains.invoice.inputs import Audit
from nself.domains.invoice.model import ExplainedLine
from nself.domains.invoice.service import changes, coupons, current, late, prorations
from nself.domains.mirror import service as mirror
from nself.gateway.errors import NoSuchObject

MOST_CHANGES = 1000


class AuditedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as it was worked out again. `how` is the calculation, or why there is none."""

    line: str
    kind: str
    expected_minor: int
    amount_minor: int
    currency: str
    how: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that is not what it should be."""

    what: str
    expected_minor: int
    actual_minor: int
    difference_minor: int
    currency: str
    reason: str


class Audited(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `invoice audit`; `by_hand` names what nobody can work out, and who changed what."""

    id: str
    status: str
    expected_total_minor: int
    total_minor: int
    amount_due_minor: int
    currency: str
    differences: int
    found: list[Difference]
    lines: list[AuditedLine]
    by_hand: list[str]
    ok: bool = True


class Facts(NamedTuple):
    """What an audit needs beside the invoice."""

    prices: dict[str, Snapshot]
    rates: dict[str, Snapshot]
    used: coupons.Coupons
    planned: list[ExplainedLine]
    asked: dict[str, Snapshot]


def audit(app: App, given: Audit) -> Audited:
    """Raises NoSuchInvoice and the gateway's errors; changes nothing."""
    invoice = current.refresh(app, given.invoice)
    facts, currency = _facts(app, invoice), invoice["currency"]
    lines = [_line(app, invoice, line, facts) for line in items(invoice, "lines")]
    found = [
        _difference(f"amount of {one.line}", one.expected_minor, one.amount_minor, currency, one.how) for one in lines
    ]
    found += [*_missing(invoice, facts), *_late(app, invoice), *_totals(invoice, facts)]
    wrong = [one for one in found if one.difference_minor]
    through = _worked(invoice, facts, [one.expected_minor for one in lines])
    log.info("invoice_audited", invoice=given.invoice, differences=len(wrong))
    return Audited(
        id=invoice["id"],
        status=invoice["status"],
        expected_total_minor=through.total,
        total_minor=invoice["total"],
        amount_due_minor=invoice["amount_due"],
        currency=currency,
        differences=len(wrong),
        found=wrong,
        lines=lines,
        by_hand=[*_by_hand(invoice, facts), *_changed(app, invoice, facts)],
        ok=not (given.exit_code and wrong),
    )


def _facts(app: App, invoice: Snapshot) -> Facts:
    prices: dict[str, Snapshot] = {}
    for line in items(invoice, "lines"):
        id = _price_of(line)
        if id and id not in prices:
            try:
                prices[id] = current.fetched(app, "price", id)
            except NoSuchObject:
                continue
    rates = {one["id"]: one for one in cast("list[Snapshot]", invoice.get("default_tax_rates") or [])}
    for tax in (tax for line in items(invoice, "lines") for tax in formulas.taxes(line)):
        id = formulas.rate_of(tax)
        if id not in rates:
            rates[id] = current.fetched(app, "tax_rate", id)
    marks = {one["id"]: part(one, "metadata").get(MARK) for one in items(invoice, "lines")}
    with app.db.reading() as tx:
        planned = store.explained_lines(tx, invoice["id"])
        asked = {line: intents.asked(tx, mark) for line, mark in marks.items() if mark}
    known = {line: cast("Snapshot", given.get("item") or given.get("params")) for line, given in asked.items() if given}
    return Facts(prices, rates, coupons.of_invoice(app, invoice), planned, known)


def _price_of(line: Snapshot) -> str | None:
    return part(part(line, "pricing"), "price_details").get("price") or part(line, "metadata").get("nself_price")


def _line(app: App, invoice: Snapshot, line: Snapshot, facts: Facts) -> AuditedLine:
    kind = formulas.kind(line)
    if kind == "usage":
        expected, how = _usage(line, facts)
    elif kind == "minimum":
        expected, how = line["amount"], "made up for the minimum charge"
    elif (price := facts.prices.get(_price_of(line) or "")) is not None:
        expected, how = _priced(app, invoice, line, price, kind)
    else:
        expected, how = _given(line, facts)
    return AuditedLine(
        line=line["id"],
        kind=kind,
        expected_minor=expected,
        amount_minor=line["amount"],
        currency=line["currency"],
        how=how,
    )


def _given(line: Snapshot, facts: Facts) -> tuple[int, str]:
    """An amount that no price gives is right where it is the one that was asked for here."""
    asked = facts.asked.get(line["id"], {})
    if "amount" in asked:
        return asked["amount"], "the amount that was given here when it was added"
    return line["amount"], "an amount given by hand at Stripe: nothing to work it out from"


def _usage(line: Snapshot, facts: Facts) -> tuple[int, str]:
    """What was planned, rated anew from the price, quota and usage of then."""
    of_metric = [one for one in facts.planned if one.metric == formulas.metric(line)]
    fits = [one for one in of_metric if int(one.period_start.timestamp()) == line["period"]["start"]]
    one = next((one for one in fits if one.amount_minor == line["amount"]), fits[0] if fits else None)
    if one is None:
        return line["amount"], "usage that no plan here knows: nothing to work it out from"
    rated = rate(one.price, one.overage)
    before = Money(one.billed_before_minor, rated.currency)
    how = f"{one.used} used - {one.limit} included = {one.overage} over: {rated.exact:f} {rated.currency}, {before} billed before"
    return rated.amount_minor - one.billed_before_minor, how


def _priced(app: App, invoice: Snapshot, line: Snapshot, price: Snapshot, kind: str) -> tuple[int, str]:
    metadata = part(line, "metadata")
    quantity = Decimal(str(metadata.get("nself_quantity") or line.get("quantity_decimal") or line.get("quantity") or 0))
    whole = rating.amount(price, quantity)
    times = f"{quantity:f} × {price['id']} = {Money(whole, price['currency'])}"
    if kind == "proration":
        return prorations.amount(app, invoice, line, whole)
    if kind == "subscription" and part(price, "recurring").get("usage_type") != "metered":
        return prorations.of_period(app, line, price, whole, times)
    return whole, times + (", the quantity as Stripe counted it" if kind == "subscription" else "")


def _rates(invoice: Snapshot, line: Snapshot, facts: Facts) -> tuple[Rate, ...]:
    """Those on the line; a rate of the invoice that is not on it is missing and counts too, unless Stripe finds them."""
    named = {formulas.rate_of(tax): tax for tax in formulas.taxes(line)}
    found = [
        Rate(
            id,
            Decimal(str(facts.rates[id]["percentage"])),
            tax["tax_behavior"] == "inclusive",
            tax["taxability_reason"] not in ("customer_exempt", "reverse_charge", "not_subject_to_tax", "zero_rated"),
        )
        for id, tax in named.items()
    ]
    if named or part(invoice, "automatic_tax").get("enabled"):
        return tuple(found)
    return figures.rates_of(
        cast("list[Snapshot]", invoice.get("default_tax_rates") or []), str(invoice.get("customer_tax_exempt"))
    )


def _discount(id: str, coupon: Snapshot) -> Discount:
    products = part(coupon, "applies_to").get("products")
    percent = coupon.get("percent_off")
    return Discount(
        id,
        None if percent is None else Decimal(str(percent)),
        coupon.get("amount_off") or 0,
        frozenset(products) if products else None,
    )


def _worked(invoice: Snapshot, facts: Facts, amounts: list[int]) -> Totals:
    discounts = {id: _discount(id, coupon) for id, coupon in facts.used.discounts.items()}
    lines = [
        Line(
            amount,
            bool(line["discountable"]),
            part(part(line, "pricing"), "price_details").get("product"),
            tuple(discounts[id] for id in cast("list[str]", line.get("discounts") or [])),
            _rates(invoice, line, facts),
        )
        for line, amount in zip(items(invoice, "lines"), amounts, strict=True)
    ]
    return figures.work_out(lines, [discounts[id] for id in cast("list[str]", invoice.get("discounts") or [])])


def _totals(invoice: Snapshot, facts: Facts) -> Iterator[Difference]:
    """Discounts and taxes of each line, then the sums, then what is asked for."""
    currency, lines = invoice["currency"], items(invoice, "lines")
    worked = _worked(invoice, facts, [line["amount"] for line in lines])
    for line, one in zip(lines, worked.lines, strict=True):
        actual = {off["discount"]: off["amount"] for off in cast("list[Snapshot]", line.get("discount_amounts") or [])}
        for id in sorted(one.off.keys() | actual.keys()):
            why = "the coupon's share of this line; Stripe may spread the same sum otherwise"
            yield _difference(f"discount {id} of {line['id']}", one.off.get(id, 0), actual.get(id, 0), currency, why)
        taxed = {formulas.rate_of(tax): tax["amount"] for tax in formulas.taxes(line)}
        for owed, tax in zip(_rates(invoice, line, facts), one.taxes, strict=True):
            why = f"{owed.percent} % of {Money(one.net, currency)}, {'inside' if owed.inclusive else 'on top'}, rounded once"
            yield _difference(f"tax {owed.id} of {line['id']}", tax, taxed.get(owed.id, 0), currency, why)
    yield _difference("subtotal", worked.subtotal, invoice["subtotal"], currency, "lines less their own discounts")
    off = rules.adds_up(invoice)
    yield _difference("total", invoice["total"] - off, invoice["total"], currency, "lines - discounts + taxes on top")
    yield from _asked(invoice)


def _asked(invoice: Snapshot) -> Iterator[Difference]:
    currency = invoice["currency"]
    found = figures.due(invoice["total"], invoice["starting_balance"], currency)
    lowered = invoice["pre_payment_credit_notes_amount"]
    why = f"total {Money(invoice['total'], currency)} with a balance of {Money(invoice['starting_balance'], currency)}"
    if lowered:
        why += f", {Money(lowered, currency)} credited"
    yield _difference("amount due", found.asked - lowered, invoice["amount_due"], currency, why)
    left = max(0, found.asked - lowered - invoice["amount_paid"])
    yield _difference("amount remaining", left, invoice["amount_remaining"], currency, "amount due less what was paid")
    if invoice["ending_balance"] is not None:
        why = "what credit or debt the invoice leaves the customer with"
        yield _difference("ending balance", found.left, invoice["ending_balance"], currency, why)


def _missing(invoice: Snapshot, facts: Facts) -> Iterator[Difference]:
    """Usage that was planned on this invoice and stands on it no more."""
    standing = [
        (formulas.metric(line), line["period"]["start"]) for line in items(invoice, "lines") if formulas.metric(line)
    ]
    for one in facts.planned:
        place = one.metric, int(one.period_start.timestamp())
        if place in standing:
            standing.remove(place)
        else:
            why = "its line was planned here and was taken off by hand"
            yield _difference(f"usage of {one.metric}", one.amount_minor, 0, invoice["currency"], why)


def _late(app: App, invoice: Snapshot) -> Iterator[Difference]:
    """Usage that was counted after the lines of a draft had been made."""
    if invoice["status"] != "draft":
        return
    with app.db.reading() as tx:
        plans = {(one.user, one.period_start): one for one in store.of_invoice(tx, invoice["id"])}.values()
        for one in plans:
            for line in late.owed(app, tx, one.user, Period(one.period_start, one.period_end), one.currency):
                why = f"{line.used} used by now, counted after its line was made: nself billing invoice update {invoice['id']}"
                yield _difference(f"usage of {line.metric}", line.amount_minor, 0, one.currency, why)


def _difference(what: str, expected: int, actual: int, currency: str, reason: str) -> Difference:
    return Difference(
        what=what,
        expected_minor=expected,
        actual_minor=actual,
        difference_minor=actual - expected,
        currency=currency,
        reason=reason,
    )


def _by_hand(invoice: Snapshot, facts: Facts) -> Iterator[str]:
    """Lines that were made or changed by somebody else than this product."""
    for line in items(invoice, "lines"):
        asked, amount = facts.asked.get(line["id"]), Money(line["amount"], line["currency"])
        if asked and "amount" in asked and asked["amount"] != line["amount"]:
            was = Money(asked["amount"], line["currency"])
            yield f"{line['id']}: {was} was asked for here, {amount} stands there: changed at Stripe"
        elif asked and asked.get("quantity", line["quantity"]) != line["quantity"]:
            yield f"{line['id']}: {asked['quantity']} were asked for here, {line['quantity']} stand there: changed at Stripe"
        elif not asked and formulas.kind(line) == "item":
            yield f"{line['id']}: {amount}, made at Stripe by hand or by another program"


def _changed(app: App, invoice: Snapshot, facts: Facts) -> Iterator[str]:
    """Lines of a draft that were not asked for here, and had another amount when they became known."""
    if invoice["status"] == "draft":
        with app.db.reading() as tx:
            found = mirror.changes(tx, invoice["id"], MOST_CHANGES)
        for one in changes.touched({invoice["id"]: invoice}, found):
            if one.line not in facts.asked:
                yield f"{one.line}: changed at Stripe from {one.before} to {one.after} ({one.source})"
