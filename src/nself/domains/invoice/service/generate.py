"""Deciding what is billed, and having it invoiced and paid at Stripe."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from nself import log
from nself.app import App
from nself.core import period
from nself.core.money import Rate
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.connection.model import OperationState
from nself.domains.connection.service import intents
from nself.domains.customer import service as customer
from nself.domains.invoice import rules, store
from nself.domains.invoice.inputs import GenerateInvoices
from nself.domains.invoice.model import Billed, Generated, MixedCurrencies, PeriodNotOver, Plan
from nself.domains.invoice.service import steps
from nself.domains.quota.model import Limit
from nself.domains.quota.service import limits as quota
from nself.domains.usage.model import Sum
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


def generate(app: App, given: GenerateInvoices) -> Generated:
    """Bill the overage of a month. Raises PeriodNotOver, NoSuchUser, StillPending and the gateway's errors."""
    span = period.month(given.period, app.timezone)
    if span.end > app.clock():
        raise PeriodNotOver(period=given.period, end=span.end.isoformat())
    if given.user:
        customer.require_user(app, given.user)
    app.stripe  # noqa: B018  refuse before anything is written where key, mode and host disagree
    metrics, rates = catalog.metrics(app), _rates(app)
    with app.db.reading() as tx:
        users = sorted({one.user_id for one in usage.totals(tx, [given.user] if given.user else None, None, span)})
    chunks = [users[start : start + CHUNK_USERS] for start in range(0, len(users), CHUNK_USERS)]
    planned = [
        app.db.transact(lambda tx, chunk=chunk: _plan_chunk(app, tx, chunk, span, metrics, rates)) for chunk in chunks
    ]
    ends = _drive(app, span, given.user)
    return _result(app, given, span, len(users), planned, rates, ends, sorted(set(metrics) - set(rates)))


def _rates(app: App) -> dict[str, Rate]:
    """Raises MixedCurrencies: Stripe's invoices have one."""
    rates = catalog.overage_rates(app)
    currencies = sorted({rate.currency for rate in rates.values()})
    if len(currencies) > 1:
        raise MixedCurrencies(currencies=", ".join(currencies))
    return rates


def users_without_customer(app: App, span: Period) -> list[str]:
    """Users whose overage in `span` would be invoiced if they had a customer."""
    metrics, rates, found = catalog.metrics(app), _rates(app), list[str]()
    with app.db.reading() as tx:
        users = sorted({one.user_id for one in usage.totals(tx, None, None, span)})
        sums, limits, billed = _by_user(tx, users, span, app.settings.live)
        customers = customer.customers_of(tx, users, app.settings.live)
    for user in users:
        if user not in customers and rules.lines(sums[user], limits[user], metrics, rates, billed[user]):
            found.append(user)
    return found


def _plan_chunk(
    app: App, tx: Tx, users: list[str], span: Period, metrics: Mapping[str, Metric], rates: Mapping[str, Rate]
) -> Planned:
    """Step: write the plans of some users, each with its first intent."""
    livemode, now = app.settings.live, app.clock()
    sums, limits, billed = _by_user(tx, users, span, livemode)
    customers = customer.customers_of(tx, users, livemode)
    over, unbilled, plans, without_customer, not_monthly = 0, 0, list[Plan](), list[str](), set[str]()
    for user in users:
        not_monthly |= rules.not_monthly(limits[user])
        lines = rules.lines(sums[user], limits[user], metrics, rates, billed[user])
        over += rules.over_quota(sums[user], limits[user], metrics)
        if not lines:
            continue
        if user not in customers:
            without_customer.append(user)
            unbilled += sum(line.amount_minor for line in lines)
            continue
        revision = max((one.revision for one in billed[user].values()), default=0) + 1
        currency = next(iter(rates.values())).currency
        plan = rules.plan(user, customers[user], span, revision, currency, lines, livemode)
        if store.add_plan(tx, plan, livemode, now):
            intents.plan(tx, [steps.first_wish(plan)], livemode)
            plans.append(plan)
    return Planned(over, plans, without_customer, unbilled, not_monthly)


def _by_user(
    tx: Tx, users: list[str], span: Period, livemode: bool
) -> tuple[dict[str, list[Sum]], dict[str, dict[str, Limit]], dict[str, dict[str, Billed]]]:
    sums: dict[str, list[Sum]] = defaultdict(list)
    limits: dict[str, dict[str, Limit]] = defaultdict(dict)
    billed: dict[str, dict[str, Billed]] = defaultdict(dict)
    for one in store.billed(tx, users, span, livemode):
        billed[one.user][one.metric] = one
    for one in usage.totals(tx, users, None, span):
        sums[one.user_id].append(one)
    for limit in quota.effective_limits(tx, users):
        limits[limit.user][limit.metric] = limit
    return sums, limits, billed


def _drive(app: App, span: Period, user: str | None) -> list[OperationState]:
    """Bring all operations of the period to their end, also those that an earlier run left."""
    livemode = app.settings.live

    def work(tx: Tx) -> list[str]:
        operations = store.operations(tx, span, livemode, user)
        intents.retry_failed(tx, operations, steps.BEFORE_PAYMENT, livemode)
        return operations

    return intents.drive(app, app.db.transact(work))


def _result(
    app: App, given: GenerateInvoices, span: Period, users: int, planned: list[Planned], rates: Mapping[str, Rate], ends: list[OperationState],
    unpriced: list[str],
) -> Generated:  # fmt: skip
    with app.db.reading() as tx:
        summary = store.summary(tx, span, app.settings.live, given.user)
        closed = store.closed(tx, [end.operation for end in ends])
    plans = [plan for one in planned for plan in one.plans]
    without_customer = [user for one in planned for user in one.without_customer]
    failed = [end for end in ends if end.state == "failed" and end.operation not in closed]
    result = Generated(
        period=given.period,
        users_with_usage=users,
        users_over_quota=sum(one.over for one in planned),
        planned_now=len(plans),
        planned_now_minor=sum(plan.total_minor for plan in plans),
        invoices=summary.invoices,
        total_minor=summary.total_minor,
        currency=next(iter(rates.values())).currency if rates else app.settings.text("BILLING_CURRENCY"),
        paid=summary.paid,
        unpaid=summary.invoices - summary.paid,
        failed=len(failed),
        without_customer=len(without_customer),
        unbilled_minor=sum(one.unbilled_minor for one in planned),
        example_without_customer=without_customer[0] if without_customer else None,
        unpriced=unpriced,
        not_monthly=sorted({metric for one in planned for metric in one.not_monthly}),
        errors=[f"{end.operation}: {end.error}" for end in failed[:MAX_ERRORS]],
    )
    log.info(
        "invoice_generation",
        period=given.period,
        planned=result.planned_now,
        invoices=result.invoices,
        failed=result.failed,
    )
    return result
