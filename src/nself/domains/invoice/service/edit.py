"""Drafts at Stripe: made, given items and taxes, brought up to date. Only drafts are editable."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import cast

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import ExclusiveParameters, InvalidParameter, MissingParameter, because
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.connection.model import Snapshot, StillPending
from nself.domains.connection.rules import items, part
from nself.domains.customer import service as customer
from nself.domains.invoice import formulas, rules, store
from nself.domains.invoice.errors import LineOfSubscription, NoSuchLine, PriceUnusable
from nself.domains.invoice.formulas import SELF, Step, step
from nself.domains.invoice.inputs import AddItem, AddTax, CreateInvoice, ReadInvoice, RemoveItem, UpdateInvoice
from nself.domains.invoice.model import Changed, PlanOfInvoice
from nself.domains.invoice.service import assess, chain, current, steps
from nself.gateway.errors import IdempotencyMismatch, StripeFailure

UNABLE = "Unable to create invoice"


def create(app: App, given: CreateInvoice) -> Changed:
    """A draft for a customer, with an item where one is given. Raises NoSuchCustomer, NoSuchPrice, PriceUnusable."""
    try:
        return _create(app, given)
    except IdempotencyMismatch:
        raise
    except (StripeFailure, StillPending) as error:
        raise because(error, UNABLE) from error


def _create(app: App, given: CreateInvoice) -> Changed:
    who = current.fetched(app, "customer", given.customer)
    item, currency = _item(app, given, who, SELF, given.currency)
    currency = given.currency.lower() if given.currency else currency
    params: Snapshot = {
        "customer": given.customer,
        "currency": currency,
        "collection_method": "charge_automatically",
        "auto_advance": given.auto_advance,
        "pending_invoice_items_behavior": "exclude",
        "metadata": {"nself_user": user} if (user := part(who, "metadata").get("nself_user")) else {},
        **catalog.tax(app),
    }
    if given.description and item is None:
        params["description"] = given.description
    todo = [step("invoices", params=params), *([step("invoiceitems", params=item)] if item else [])]
    operation = current.name(app, given.idempotency_key, "invoice.create", given.customer, current.digest(params, item))
    made = chain.run(app, operation, todo, strict=True)
    return changed(app, made, f"created for {given.customer}")


def _item(
    app: App, given: CreateInvoice | AddItem, who: Snapshot, invoice: str, currency: str | None
) -> tuple[Snapshot | None, str]:  # fmt: skip
    """Parameters of the item that was asked for, and its currency. Raises ExclusiveParameters, NoSuchPrice, PriceUnusable."""
    known = (currency or who.get("currency") or app.settings.text("BILLING_CURRENCY")).lower()
    if given.price is not None and given.amount is not None:
        raise ExclusiveParameters("price", "amount")
    if given.amount is not None and given.quantity != 1:
        raise ExclusiveParameters("amount", "quantity")
    if given.price is None and given.amount is None:
        return None, known
    price = current.fetched(app, "price", given.price) if given.price else None
    if price and not price["active"]:
        raise PriceUnusable(price=price["id"], detail="is inactive")
    if price and currency and price["currency"] != currency.lower():
        raise PriceUnusable(price=price["id"], detail=f"is in {price['currency']}, the invoice in {currency.lower()}")
    known = price["currency"] if price else known
    description = given.description
    if price and price["type"] != "one_time" and not description:
        product = current.fetched(app, "product", price["product"])
        description = f"{given.quantity} × {product['name']}, one {formulas.interval(price)}"
    found = formulas.new_item(who["id"], invoice, known, price, given.quantity, given.amount or 0, description)
    return found, known


def add_item(app: App, given: AddItem) -> Changed:
    """One more line on a draft. Raises InvoiceNotEditable, MissingParameter, NoSuchPrice, PriceUnusable."""
    if given.price is None and given.amount is None:
        raise MissingParameter("price")
    draft = current.draft(app, given.invoice)
    item, _ = _item(app, given, {"id": draft["customer"]}, given.invoice, draft["currency"])
    operation = current.name(app, given.idempotency_key, "invoice.add_item", given.invoice, current.digest(item))
    chain.run(app, operation, [step("invoiceitems", params=cast("Snapshot", item))], given.invoice, strict=True)
    priced = item and part(item, "metadata").get("nself_price")
    notes = [f"{given.price} recurs: a single period of it is billed"] if priced else []
    return changed(app, given.invoice, "item added", notes)


def remove_item(app: App, given: RemoveItem) -> Changed:
    """Take a line and its item off a draft. Raises InvoiceNotEditable, NoSuchLine, LineOfSubscription."""
    draft = current.draft(app, given.invoice)
    line = next((one for one in items(draft, "lines") if one["id"] == given.line_item), None)
    if line is None:
        raise NoSuchLine(line=given.line_item[:100], invoice=given.invoice)
    item = formulas.item_of(line)
    if item is None:
        subscription = part(part(line, "parent"), "subscription_item_details").get("subscription")
        raise LineOfSubscription(line=line["id"], invoice=given.invoice, subscription=subscription)
    operation = current.name(app, None, "invoice.remove_item", given.invoice, item)
    chain.run(app, operation, [step("invoiceitems", item, params={}, remove=True)], given.invoice)
    notes = ["it billed usage, which stays counted as billed: see overage audit"] if formulas.metric(line) else []
    return changed(app, given.invoice, f"{line['id']} removed", notes)


def add_tax(app: App, given: AddTax) -> Changed:
    """A tax rate for the lines of a draft that have none of their own. Raises InvoiceNotEditable, `No such tax rate: …`."""
    rate = current.fetched(app, "tax_rate", given.tax_rate)
    draft = current.draft(app, given.invoice)
    standing = [one["id"] for one in cast("list[Snapshot]", draft.get("default_tax_rates") or [])]
    if rate["id"] in standing:
        return changed(app, given.invoice, f"{rate['id']} stands already")
    params: Snapshot = {"default_tax_rates": [*standing, rate["id"]]}
    notes: list[str] = []
    if part(draft, "automatic_tax").get("enabled"):
        params["automatic_tax"] = {"enabled": False}
        notes = ["automatic tax was on and is off on this invoice: its rates are given by hand now"]
    _change(app, given.invoice, "invoice.add_tax", params)
    named = f"{rate['display_name']} {rate['percentage']} %"
    return changed(app, given.invoice, f"{named} {'included' if rate['inclusive'] else 'added'}", notes)


def _change(app: App, invoice: str, deed: str, params: Snapshot) -> None:
    operation = current.name(app, None, deed, invoice, current.digest(params))
    chain.run(app, operation, [step("invoices", invoice, params=params)], invoice)


def recalculate(app: App, given: ReadInvoice) -> Changed:
    """Tax and totals of a draft anew, by STRIPE_TAX_CALCULATION. Raises InvoiceNotEditable."""
    draft = current.draft(app, given.invoice)
    calculation = app.settings.text("STRIPE_TAX_CALCULATION")
    standing = [one["id"] for one in cast("list[Snapshot]", draft.get("default_tax_rates") or [])]
    automatic = calculation == "automatic"
    params: Snapshot = {"automatic_tax": {"enabled": automatic}}
    notes: list[str] = []
    if automatic and standing:
        params["default_tax_rates"] = ""
        notes = [f"{', '.join(standing)} gave way to automatic tax"]
    elif not automatic and calculation == "rates" and not standing and (rates := catalog.tax_rates(app)):
        params["default_tax_rates"] = rates
    elif calculation == "off" and not standing:
        notes = ["no tax: STRIPE_TAX_CALCULATION is off and the invoice has no rates of its own"]
    _change(app, given.invoice, "invoice.recalculate", params)
    done = changed(app, given.invoice, f"tax and totals calculated anew ({calculation})")
    return msgspec.structs.replace(done, notes=[*notes, *done.notes])


def update(app: App, given: UpdateInvoice) -> Changed:
    """Change fields of a draft, and bring it up to date: overage that came since, and the minimum charge.

    Raises InvoiceNotEditable, InvalidParameter, UsageIncomplete.
    """
    draft = current.draft(app, given.invoice)
    params = _fields(app, given)
    if params:
        _change(app, given.invoice, "invoice.update", params)
    added = _bring_up_to_date(app, draft)
    draft = current.draft(app, given.invoice)
    weighed = rules.weigh(draft, current.minimum(app, draft["currency"]))
    topping = [one for one in weighed.before if one["params"]["path"][0] == "invoiceitems"]
    if topping:
        operation = current.name(app, None, "invoice.top_up", given.invoice, current.digest(topping))
        chain.run(app, operation, topping, given.invoice)
    told = [*sorted(params), *([f"{added} lines of usage"] if added else []), *(["minimum charge"] if topping else [])]
    result = f"updated: {', '.join(told)}" if told else "up to date: nothing was to be changed"
    return changed(app, given.invoice, result, [weighed.told] if weighed.told else [])


def _fields(app: App, given: UpdateInvoice) -> Snapshot:
    found: Snapshot = {
        name: value
        for name, value in (
            ("description", given.description),
            ("footer", given.footer),
            ("auto_advance", given.auto_advance and given.auto_advance == "on"),
        )
        if value is not None
    }
    if given.due_date is not None:
        try:
            due = datetime.combine(date.fromisoformat(given.due_date), time(23, 59, 59), app.timezone)
        except ValueError:
            raise InvalidParameter(f"Invalid due date: {given.due_date} (like 2026-02-14)", "due_date") from None
        if due <= app.clock():
            raise InvalidParameter(f"The due date {given.due_date} is over", "due_date")
        found |= {"collection_method": "send_invoice", "due_date": int(due.timestamp())}
    return found


def _bring_up_to_date(app: App, draft: Snapshot) -> int:
    """What is owed of the draft's periods and was not billed yet becomes lines of it; their number."""
    invoice = draft["id"]
    with app.db.reading() as tx:
        plans = store.of_invoice(tx, invoice)
    if not plans:
        return 0
    current.require_counted(app)
    plans = list({(one.user, one.period_start): one for one in plans}.values())
    operations = app.db.transact(lambda tx: [_revise(app, tx, one, invoice) for one in plans])
    for operation, _ in operations:
        if operation:
            chain.drive(app, operation, invoice)
    return sum(count for _, count in operations)


def _revise(app: App, tx: Tx, plan: PlanOfInvoice, invoice: str) -> tuple[str | None, int]:
    """Step: a later plan whose lines stand on the same draft."""
    span, live = Period(plan.period_start, plan.period_end), app.settings.live
    assess.lock(tx, [plan.user])
    found = assess.assess(app, tx, [plan.user], span, assess.billable_at(app, tx, span))[plan.user]
    lines = rules.lines(found.overages) + found.adjustments
    revision = store.revisions(tx, [plan.user], span, live).get(plan.user, 0)
    for one in rules.plans(plan.user, plan.customer, span, revision, lines, live):
        if one.currency == plan.currency:
            made = msgspec.structs.replace(one, invoice=invoice)
            store.add_plan(tx, made, live, app.clock())
            todo: list[Step] = [
                step("invoiceitems", params=steps.item(line, made.currency, invoice, made.customer))
                for line in made.lines
            ]
            chain.plan(tx, made.operation, todo, invoice, live)
            return made.operation, len(made.lines)
    return None, 0


def changed(app: App, invoice: str, result: str, notes: list[str] | None = None) -> Changed:
    """How the invoice stands, with what is in its way as notes."""
    with app.db.reading() as tx:
        snapshot = store.snapshot(tx, invoice)
        gone = bool(store.count_deleted(tx, [invoice]))
        user = customer.users_of(tx, [snapshot["customer"]]).get(snapshot["customer"])
    status = "deleted" if gone else snapshot["status"]
    log.info("invoice_generation", invoice=invoice, user=user, status=status, result=result)
    found = [f"{one.text}: {one.command}" for one in formulas.problems(snapshot)] if status == "draft" else []
    return Changed(
        id=invoice,
        status=status,
        total_minor=snapshot["total"],
        amount_due_minor=snapshot["amount_due"],
        amount_remaining_minor=snapshot["amount_remaining"],
        currency=snapshot["currency"],
        lines=len(items(snapshot, "lines")),
        result=result,
        notes=[*(notes or []), *found],
    )
