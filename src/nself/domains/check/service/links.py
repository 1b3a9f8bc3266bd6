"""Each link of the chain: what it does, and what is told where it does not hold."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar
from urllib.parse import urlencode

from nself.app import App
from nself.core.clock import monotonic
from nself.core.errors import BillingError
from nself.domains.catalog import service as catalog
from nself.domains.check import store
from nself.domains.connection.service import change
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import CreateCustomer, ListCustomers
from nself.domains.database import service as database
from nself.domains.database.inputs import Ping
from nself.domains.document.service import produce
from nself.domains.invoice.inputs import CreateInvoice, Finalize, Pay
from nself.domains.invoice.service import edit, finish
from nself.domains.notification.model import Note
from nself.domains.notification.service import mailbox, outbox
from nself.domains.quota.inputs import CheckQuota, SetQuota
from nself.domains.quota.service import ask
from nself.domains.quota.service import limits as quota
from nself.domains.repair.inputs import VoidEvent
from nself.domains.repair.service import adjust
from nself.domains.sandbox.service import load, reach
from nself.domains.stack import service as stack
from nself.domains.stack.inputs import ShowStatus
from nself.domains.usage.inputs import RecordUsage
from nself.domains.usage.service import aggregate, record
from nself.domains.webhook.inputs import ListEvents
from nself.domains.webhook.model import ListedEvent
from nself.domains.webhook.service import endpoints
from nself.domains.webhook.service import show as webhook

USER, EMAIL = "nself-self-test", "self-test@example.invalid"
"""No mail server takes that address."""
AMOUNT, LIMIT = 500, 10**15
SECONDS = 30.0
State = Literal["ok", "skipped", "broken"]
T = TypeVar("T")


class _Told(Exception):
    def __init__(self, detail: str, command: str) -> None:
        super().__init__(detail)
        self.detail, self.command = detail, command


class Broken(_Told):
    """The link does not hold: its cause, and what helps."""


class Skipped(_Told):
    """The link is not in use here."""


class Run:
    """What the links so far have made."""

    def __init__(self, app: App) -> None:
        self.app, self.keys = app, list[str]()
        self.metric = self.customer = self.invoice = self.event = self.mail = ""


Take = Callable[[Run], str]


def _runs(app: App, service: str) -> None:
    """Raises Broken where a service of this project does not run."""
    (row,) = stack.status(app, ShowStatus(services=[service]))
    if row.state not in ("running", "external"):
        raise Broken(f"{service} is {row.state}: {row.note or 'it was not started'}", f"nself start {service}")


def _until(app: App, service: str, look: Callable[[], T | None], what: str, command: str) -> T:
    """What `look` finds, while the service runs that is to bring it about. Raises Broken."""
    limit = monotonic() + SECONDS
    while True:
        found = look()
        if found is not None:
            return found
        _runs(app, service)
        if monotonic() > limit:
            raise Broken(f"{what} did not happen within {SECONDS:g} s", command)
        store.pause()


def settings(run: Run) -> str:
    """Calls must go to the sandbox."""
    values = run.app.settings
    if not values.flag("STRIPE_MOCK_ENABLED"):
        raise Broken("STRIPE_MOCK_ENABLED is false: the mock is not in use", "nself env set STRIPE_MOCK_ENABLED=true")
    port = values.integer("STRIPE_MOCK_PORT")
    (row,) = stack.status(run.app, ShowStatus(services=["stripe-mock"]))
    if row.state == "running" and row.port not in (None, port):
        detail = f"wrong port configuration: stripe-mock listens on {row.port}, STRIPE_MOCK_PORT is {port}"
        raise Broken(detail, f"nself env set STRIPE_MOCK_PORT={row.port}")
    run.app.require_stripe()
    try:
        reach.must_be_used(run.app)
    except BillingError as error:
        helps = f"nself env set STRIPE_API_BASE=http://localhost:{port}"
        raise Broken(f"wrong port configuration: {error.message}", helps) from error
    return f"test mode, calls go to {values.stripe_api_base}"


def mock(run: Run) -> str:
    try:
        reach.ask(run.app, "GET", "health")
    except BillingError as error:
        raise Broken(f"mock server not running: {error.message}", "nself start stripe-mock") from error
    return f"account {run.app.stripe.account()['id']} answers"


def fixtures(run: Run) -> str:
    """The user's own objects, if there are any."""
    try:
        done = load.load(run.app)
    except BillingError as error:
        raise Broken(f"missing mock fixtures: {error.message}", "nself billing sandbox load") from error
    return f"{done.files} files, {sum(done.loaded.values())} objects loaded, {done.left} there already"


def answers(run: Run) -> str:
    return f"{database.ping(run.app, Ping()).answer}"


def usage(run: Run) -> str:
    """Two events of a metric that takes any event."""
    app, now = run.app, run.app.clock()
    clean(run)
    customer.create_users(app, {USER: EMAIL})
    plain = [
        name
        for name, one in catalog.metrics_at(app, now).items()
        if one.aggregation == "sum" and not one.filter and not one.validation.required
    ]
    if not plain:
        raise Broken("no metric sums all of its events", "nself billing usage list-metrics")
    run.metric = plain[0]
    for _ in range(2):
        key = f"self-test-{uuid.uuid4().hex}"
        run.keys.append(key)
        record.record(app, RecordUsage(user=USER, metric=run.metric, value=1, key=key))
    return f"2 events of {run.metric} recorded for {USER}"


def aggregated(run: Run) -> str:
    _runs(run.app, "usage-collector")
    folded = aggregate.aggregate(run.app)
    return f"folded: {folded.deltas} deltas"


def blocks(run: Run) -> str:
    """A hard limit of just what was used allows no unit more."""
    app = run.app
    _limit(run, LIMIT)
    before = ask.check(app, CheckQuota(user=USER, metric=run.metric, value=1))
    _limit(run, max(before.used, 0))
    at = ask.check(app, CheckQuota(user=USER, metric=run.metric, value=1))
    if not app.settings.flag("QUOTA_ENFORCEMENT_ENABLED"):
        raise Broken(
            "QUOTA_ENFORCEMENT_ENABLED is false: no quota blocks", "nself env set QUOTA_ENFORCEMENT_ENABLED=true"
        )
    if not before.allowed or before.used < len(run.keys):
        raise Broken(
            f"{before.used} used, allowed: {before.allowed}", f"nself billing quota show-calculation --user {USER}"
        )
    if at.allowed and app.settings.seconds("BILLING_QUOTA_GRACE_PERIOD"):
        return "at the limit: allowed for BILLING_QUOTA_GRACE_PERIOD"
    if at.allowed:
        raise Broken(
            f"{at.used} of {at.limit} used and one more is allowed",
            f"nself billing quota show-calculation --user {USER}",
        )
    return f"blocked at {at.used} of {at.limit}"


def _limit(run: Run, limit: int) -> None:
    quota.set_quota(run.app, SetQuota(user=USER, metric=run.metric, limit=limit, mode="hard"))


def made(run: Run) -> str:
    given = CreateCustomer(user=USER, email=EMAIL, payment_method="pm_card_visa")
    run.customer = customer.create(run.app, given).id
    asked = CreateInvoice(customer=run.customer, amount=AMOUNT, description="Self-test", auto_advance=False)
    run.invoice = edit.create(run.app, asked).id
    return f"{run.invoice} for {run.customer}"


def finalised(run: Run) -> str:
    done = finish.finalize(run.app, Finalize(invoice=run.invoice))
    return f"{run.invoice} is {done.status}"


def paid(run: Run) -> str:
    if not (done := finish.pay(run.app, Pay(invoice=run.invoice))).status == "paid":
        raise Broken(f"{run.invoice} is {done.status}", f"nself billing invoice show {run.invoice}")
    return f"{AMOUNT} {done.currency} paid"


def signed(run: Run) -> str:
    """There is an endpoint of ours, and the receiver knows its own secret."""
    app = run.app
    if endpoints.ours(app, list(app.stripe.listed("webhook_endpoints"))) is None:
        command = f"nself billing webhook update-url {endpoints.receiver_url(app)}"
        raise Broken("no webhook endpoint: Stripe sends events nowhere", command)
    event = next((one for one in app.stripe.listed("events", type="invoice.paid") if _about(one, run.invoice)), None)
    if event is None:
        raise Broken(f"Stripe tells nothing of {run.invoice}", "nself billing sandbox deliveries")
    run.event = event["id"]
    return f"{run.event} invoice.paid"


def _about(event: dict[str, Any], invoice: str) -> bool:
    return event["data"]["object"]["id"] == invoice


def delivered(run: Run) -> str:
    _until(run.app, "http", lambda: _stored(run) or _refused(run), "its delivery", "nself billing webhook status")
    return "received and verified"


def _stored(run: Run) -> ListedEvent | None:
    found = webhook.events(run.app, ListEvents(object=run.invoice, type="invoice.paid"))
    return next((one for one in found if one.event == run.event), None)


def _refused(run: Run) -> None:
    """What the receiver answered instead. Raises Broken."""
    query = urlencode({"event": run.event, "limit": 10})
    for one in reach.ask(run.app, "GET", f"deliveries?{query}")["deliveries"]:
        for attempt in one["attempts"]:
            if attempt["status"] == 400:
                detail = "the receiver refuses the signature: STRIPE_WEBHOOK_SECRET is not the endpoint's"
                raise Broken(detail, "nself billing webhook rotate-secret")
            if attempt["error"]:
                _runs(run.app, "http")
                raise Broken(f"not delivered: {attempt['error']}", "nself billing webhook status")


def processed(run: Run) -> str:
    def look() -> ListedEvent | None:
        found = _stored(run)
        if found and found.status in ("failed", "failed_permanent"):
            raise Broken(f"processing failed: {found.error}", "nself billing webhook failures --last 100")
        return found if found and found.status == "processed" else None

    _until(run.app, "worker", look, "processing", "nself billing webhook queue-status")
    return f"{run.event} processed"


def mailed(run: Run) -> str:
    app = run.app
    if not app.settings.flag("MAIL_ENABLED"):
        raise Skipped("MAIL_ENABLED is false: no mail is sent", "nself env set MAIL_ENABLED=true")
    if app.settings.text("SMTP_HOST"):
        raise Skipped("mail goes to SMTP_HOST, not to the local mailbox", "nself billing email show-config")
    run.mail = outbox.new_id()
    note = Note(
        id=run.mail, kind="self_test", email=EMAIL, data={}, subject="Self-test", text="The self-test of nself.", mail_only=True
    )  # fmt: skip
    app.db.transact(lambda tx: outbox.post(app, tx, [note], app.clock()))
    _until(app, "mail", lambda: mailbox.stored(app, run.mail), "mail", f"nself billing email status {run.mail}")
    return f"{run.mail} is in the local mailbox"


def rendered(run: Run) -> str:
    app, command = run.app, f"nself billing invoice pdf-status {run.invoice}"
    found = _until(app, "pdf-generator", lambda: produce.kept(app, run.invoice)[1], "the PDF", command)
    return f"{found.pages} pages, {len(found.content)} bytes"


def clean(run: Run) -> str:
    """Take away what was made, also by a run that was killed; in words what stays."""
    kept = list[str]()
    if run.mail and (path := mailbox.stored(run.app, run.mail)):
        store.remove(path)
    with suppress(BillingError):
        for one in customer.list_customers(run.app, ListCustomers(user=USER)):
            change.change(run.app, f"test:self_test.clean:{one.id}", "customers", one.id, params={}, remove=True)
        for key in run.keys:
            adjust.void(run.app, VoidEvent(user=USER, key=key, execute=True, reason="self-test"))
            kept = [f"{len(run.keys)} usage events, void"]
        run.app.db.transact(lambda tx: store.forget_quota(tx, USER))
    if run.invoice:
        kept.append(f"invoice {run.invoice} with its payment, PDF, events and mails")
    return f"taken away; what cannot be: {', '.join([*kept, f'user {USER}'])}"


LINKS: tuple[tuple[str, Take], ...] = (
    ("settings", settings),
    ("database", answers),
    ("sandbox", mock),
    ("fixtures", fixtures),
    ("usage", usage),
    ("aggregation", aggregated),
    ("quota", blocks),
    ("invoice", made),
    ("finalize", finalised),
    ("payment", paid),
    ("webhook", signed),
    ("delivery", delivered),
    ("processing", processed),
    ("mail", mailed),
    ("pdf", rendered),
)
