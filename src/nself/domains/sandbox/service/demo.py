"""The demonstration: real parts, Stripe alone is the sandbox. Run again it changes nothing."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from nself.app import App
from nself.core.clock import monotonic
from nself.core.money import Money
from nself.core.period import Period
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey, ListApiKeys
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.invoice.inputs import GenerateInvoices, ListInvoices
from nself.domains.invoice.service import generate as invoices
from nself.domains.invoice.service import show as shown
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits as quota
from nself.domains.sandbox import rules
from nself.domains.sandbox.inputs import RunDemo
from nself.domains.sandbox.model import TestModeOnly, WebhooksLate
from nself.domains.setting import service as setting
from nself.domains.setting.inputs import SetSettings
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import RestartServices, ShowStatus, StartServices
from nself.domains.usage.inputs import AggregateUsage, ImportUsage, UsageStatus
from nself.domains.usage.service import aggregate, import_file
from nself.domains.usage.service import show as usage
from nself.domains.webhook.inputs import UpdateUrl, WebhookStatus
from nself.domains.webhook.service import endpoints
from nself.domains.webhook.service import show as webhook

WEBHOOK_SECONDS = 120.0
KEY_NAME = "demo"


def demo(app: App, given: RunDemo) -> Iterator[str]:
    """Traffic in, paid invoices out; lines as it goes. Raises TestModeOnly and what its steps raise."""
    if app.settings.live:
        raise TestModeOnly()
    began = monotonic()
    yield from _services(app)
    yield from _quotas(app)
    imported = import_file.import_file(app, ImportUsage(file=given.log or _traffic_file(app), create_users=True))
    aggregate.aggregate(app, AggregateUsage(force=True))
    yield f"traffic       {imported.lines} new lines of {Path(imported.file).name}: {imported.accepted} events counted, {imported.users_created} new users"
    for month in usage.months(app):
        yield from _bill(app, month)
    yield from _settled(app)
    yield from _law(app)
    yield from _look_around(app, monotonic() - began)


def _services(app: App) -> Iterator[str]:
    missing = [
        f"{name}={value}" for name, value in rules.SETTINGS.items() if app.settings.value(name).origin == "default"
    ]
    if missing:
        setting.set_values(app, SetSettings(assignments=missing))
    stack.start(app, StartServices(services=["postgres", "stripe-mock"]))
    yield "services      postgres and stripe-mock (the Stripe sandbox) run"
    endpoint = endpoints.update_url(app, UpdateUrl(url=endpoints.receiver_url(app)))
    if any(row.changed for row in stack.status(app, ShowStatus(services=["billing"]))):
        stack.restart(app, RestartServices(services=["billing"]))  # it does not know the endpoint's secret yet
    else:
        stack.start(app, StartServices(services=["billing"]))
    yield f"services      billing runs; Stripe sends webhooks to {endpoint.url}"


def _quotas(app: App) -> Iterator[str]:
    prices = app.project.config / "overage-tiers.yml"
    if not prices.exists():
        prices.parent.mkdir(parents=True, exist_ok=True)
        prices.write_text(rules.PRICES, encoding="utf-8")
    for metric, limit in rules.QUOTAS:
        quota.set_quota(app, SetQuota(plan="free", metric=metric, limit=limit, period="month", mode="overage"))
    shown = ", ".join(f"{limit} {metric}" for metric, limit in rules.QUOTAS)
    yield f"quotas        plan free includes {shown} a month; prices in {prices.relative_to(app.project.root)}"


def _traffic_file(app: App) -> str:
    path = app.project.state / "demo-access.log"
    path.write_text("".join(rules.traffic()), encoding="utf-8")
    return str(path)


def _bill(app: App, month: Period) -> Iterator[str]:
    """Customers for those above their quota, then one invoice each, finalised and paid."""
    name = _month(app, month.start)
    if month.end > app.clock():
        yield f"invoices      {name} is not over yet: nothing is billed"
        return
    needed = invoices.users_without_customer(app, month)
    if needed:
        wishes = [CreateCustomer(user=user, email=_email(user), payment_method="pm_card_visa") for user in needed]
        customer.create_many(app, wishes)
    yield f"customers     {len(needed)} created at Stripe for users above their quota in {name}"
    done = invoices.generate(app, GenerateInvoices(period=name))
    total = Money(done.total_minor, done.currency)
    yield f"invoices      {name}: {done.planned_now} new, {done.invoices} in all, {total}; {done.failed} failed"
    yield from (f"              {error}" for error in done.errors)


def _month(app: App, start: datetime) -> str:
    return f"{start.astimezone(app.timezone):%Y-%m}"


def _email(user: str) -> str:
    return f"{user.replace(':', '-')}@demo.example.com"


def _settled(app: App) -> Iterator[str]:
    """Wait until Stripe has delivered every event and the worker has processed it."""
    deadline = monotonic() + WEBHOOK_SECONDS
    while _undelivered(app) or (status := webhook.status(app, WebhookStatus())).waiting:
        if monotonic() > deadline:
            raise WebhooksLate(seconds=WEBHOOK_SECONDS)
        time.sleep(0.2)
    yield f"webhooks      {status.events} events received and verified, {status.processed} processed, {status.ignored} of no concern, {status.failed} failed"
    paid = shown.list_invoices(app, ListInvoices(status="paid", limit=3))
    yield from (
        f"              {one.id} of {one.user}: {Money(one.total_minor, one.currency)}, {one.status}" for one in paid
    )


def _undelivered(app: App) -> bool:
    return next(app.stripe.listed("events", delivery_success=False), None) is not None


def _law(app: App) -> Iterator[str]:
    law = usage.status(app, UsageStatus())
    verdict = "balanced" if law.balanced else "NOT BALANCED"
    yield (
        f"conservation  accepted {law.accepted} = counted {law.counted} + duplicate {law.duplicate}"
        f" + rejected {law.rejected} + pending {law.pending}: {verdict}"
    )


def _look_around(app: App, seconds: float) -> Iterator[str]:
    port = app.settings.integer("BILLING_PORT")
    yield f"done          in {seconds:.1f} s; everything goes on running"
    if not any(key.name == KEY_NAME for key in api_key.list_keys(app, ListApiKeys())):
        key = api_key.create(app, CreateApiKey(name=KEY_NAME, scopes="usage:write,usage:read,quota,invoice:read"))
        yield f"API key       {key.key} (shown this once)"
    paid = shown.list_invoices(app, ListInvoices(status="paid", limit=1))
    yield ""
    yield "Look around:"
    yield f"  cd {shlex.quote(str(app.project.root))} && export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    yield "  nself status"
    if paid:
        period = next(iter(usage.months(app)))
        yield f"  nself billing usage show --user {paid[0].user} --period {_month(app, period.start)}"
        yield f"  nself billing invoice show {paid[0].id}"
    yield "  nself billing webhook events --type invoice.paid --limit 5"
    yield f"  http://127.0.0.1:{port}/docs"
    yield "Stop it:"
    yield "  nself stop"
