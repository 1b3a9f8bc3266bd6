"""Deciding what is billed, and having it invoiced and paid at Stripe."""

from __future__ import annotations

from datetime import UTC
from typing import NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import MissingParameter
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.connection.model import OperationState
from nself.domains.connection.service import intents
from nself.domains.customer import service as customer
from nself.domains.invoice import rules, store
from nself.domains.invoice.errors import PeriodNotOver
from nself.domains.invoice.inputs import GenerateInvoices, UpdateInvoice
from nself.domains.invoice.model import Changed, Generated, Plan
from nself.domains.invoice.service import assess, current, edit, steps
from nself.domains.invoice.service.assess import Catalog
from nself.domains.job.model import PutOff
from nself.domains.job.service import operate
from nself.domains.usage.service import show as usage

CHUNK_USERS = 200
MAX_ERRORS = 10


class Planned(NamedTuple):
    """What planning some users found."""

    over: int
    plans: list[Plan]
    without_customer: list[str]
    unbilled_minor: int
    not_monthly: set[str]


def command(app: App, given: GenerateInvoices) -> Generated | Changed | PutOff:
    """The overage of a month, or one draft brought up to date; everybody's month may be left to the worker.

    Raises what `generate` and `edit.update` raise.
    """
    if given.invoice is not None:
        return edit.update(app, UpdateInvoice(invoice=given.invoice))
    app.require_stripe()
    if given.user:
        return generate(app, given)
    return operate(app, generate, given)


def generate(app: App, given: GenerateInvoices) -> Generated:
    """Bill the overage of a month.

    Raises PeriodNotOver, MonthMoved, NoSuchUser, UsageIncomplete, MissingParameter, StillPending and the gateway's errors.
    """
    if given.period is None:
        raise MissingParameter("period")
    month, user = given.period, given.user
    span = period.month(month, app.timezone)
    if span.end > app.clock():
        raise PeriodNotOver(period=month, end=f"{span.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")
    if user:
        customer.require_user(app, user)
    current.require_counted(app)
    app.require_stripe()
    known, users = app.db.transact(lambda tx: _begin(app, tx, user, span))
    chunks = [users[start : start + CHUNK_USERS] for start in range(0, len(users), CHUNK_USERS)]
    planned = [app.db.transact(lambda tx, chunk=chunk: _plan_chunk(app, tx, chunk, span, known)) for chunk in chunks]
    ends = _drive(app, span, user)
    return _result(app, month, user, span, len(users), planned, known, ends)


def _begin(app: App, tx: Tx, user: str | None, span: Period) -> tuple[Catalog, list[str]]:
    """Step: from now on the formulas of `span` stay; what is billed by, and to whom."""
    assess.require_unmoved(app, tx, user, span)
    catalog.pin(app, tx, span.start)
    known = assess.billable_at(app, tx, span)
    return known, _users(app, tx, user, span, known)


def _users(app: App, tx: Tx, user: str | None, span: Period, known: Catalog) -> list[str]:
    """Those with usage in `span`, or of whose overage an operator decided something."""
    used = {one.user for one in usage.figures_of(app, tx, [user] if user else None, span, known.metrics)}
    return sorted(used.union(store.users_with_overrides(tx, user, app.settings.live)))


def users_without_customer(app: App, span: Period) -> list[str]:
    """Users whose overage in `span` would be invoiced if they had a customer."""
    users = unbilled(app, span)
    with app.db.reading() as tx:
        customers = customer.customers_of(tx, users, app.settings.live)
    return [user for user in users if user not in customers]


def unbilled(app: App, span: Period) -> list[str]:
    """Users with overage in `span` that no invoice bills, whether they have a customer or not."""
    with app.db.reading() as tx:
        found = assess.everybody(app, tx, span, assess.billable_at(app, tx, span))
    return [user for user, one in found.items() if rules.lines(one.overages)]


def _plan_chunk(app: App, tx: Tx, users: list[str], span: Period, known: Catalog) -> Planned:
    """Step: write the plans of some users, each with its first intent."""
    livemode, now, tax = app.settings.live, app.clock(), catalog.tax(app)
    store.lock_users(tx, users)
    found = assess.assess(app, tx, users, span, known)
    revisions = store.revisions(tx, users, span, livemode)
    customers = customer.customers_of(tx, users, livemode)
    over, unbilled, plans, without_customer, not_monthly = 0, 0, list[Plan](), list[str](), set[str]()
    for user, assessed in found.items():
        not_monthly |= assessed.not_monthly
        over += rules.over_quota(assessed.overages)
        lines = rules.lines(assessed.overages) + assessed.adjustments
        if not lines:
            continue
        if user not in customers:
            without_customer.append(user)
            unbilled += sum(line.amount_minor for line in lines)
            continue
        for plan in rules.plans(user, customers[user], span, revisions.get(user, 0), lines, livemode):
            plan = msgspec.structs.replace(plan, minimum=current.minimum(app, plan.currency), tax=tax)
            if store.add_plan(tx, plan, livemode, now):
                if not intents.plan(tx, [steps.first_wish(plan)], livemode):
                    _take_made(tx, plan)
                plans.append(plan)
    return Planned(over, plans, without_customer, unbilled, not_monthly)


def _take_made(tx: Tx, plan: Plan) -> None:
    """Step: a later state of this database, before a backup was restored, made the invoice already."""
    invoice = intents.made(tx, plan.operation, 1)
    if invoice:
        store.set_invoice(tx, plan.operation, invoice)


def _drive(app: App, span: Period, user: str | None) -> list[OperationState]:
    """Bring all operations of the period to their end, also those that an earlier run left."""
    livemode = app.settings.live

    def work(tx: Tx) -> list[str]:
        operations = store.operations(tx, span, livemode, user)
        intents.retry_failed(tx, operations, steps.BEFORE_PAYMENT, livemode)
        return operations

    return intents.drive(app, app.db.transact(work))


def _result(
    app: App, month: str, user: str | None, span: Period, users: int, planned: list[Planned], known: Catalog, ends: list[OperationState]
) -> Generated:  # fmt: skip
    with app.db.reading() as tx:
        summary = store.summary(tx, span, app.settings.live, user)
        closed = store.closed(tx, [end.operation for end in ends])
    plans = [plan for one in planned for plan in one.plans]
    without_customer = [user for one in planned for user in one.without_customer]
    failed = [end for end in ends if end.state == "failed" and end.operation not in closed]
    result = Generated(
        period=month,
        users_with_usage=users,
        users_over_quota=sum(one.over for one in planned),
        planned_now=len(plans),
        planned_now_minor=sum(plan.total_minor for plan in plans),
        invoices=summary.invoices,
        total_minor=summary.total_minor,
        currency=next((price.currency or "" for price in known.prices.values()), app.settings.text("BILLING_CURRENCY")),
        paid=summary.paid,
        unpaid=summary.invoices - summary.paid,
        queued=sum(end.state == "queued" for end in ends),
        failed=len(failed),
        without_customer=len(without_customer),
        unbilled_minor=sum(one.unbilled_minor for one in planned),
        example_without_customer=without_customer[0] if without_customer else None,
        unpriced=sorted(set(known.metrics) - set(known.prices)),
        not_monthly=sorted({metric for one in planned for metric in one.not_monthly}),
        errors=[f"{end.operation}: {end.error}" for end in failed[:MAX_ERRORS]],
    )
    log.info(
        "invoice_generation",
        period=month,
        planned=result.planned_now,
        invoices=result.invoices,
        failed=result.failed,
    )
    return result
