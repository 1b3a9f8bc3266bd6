"""A bench for money: Apps on one database and one Stripe sandbox, Stripe's books, and a courier for its events.

The sandbox is only ever asked through the official SDK, and through its own admin routes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import stripe
import uvicorn

from nself.app import App
from nself.config import find_project
from nself.core.clock import Clock
from nself.db.connect import Database
from nself.domains.connection.service import intents
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.invoice.inputs import GenerateInvoices
from nself.domains.invoice.model import Generated
from nself.domains.invoice.service.generate import generate
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service.limits import set_quota
from nself.domains.usage.inputs import RecordUsage, UsageStatus
from nself.domains.usage.service import record, show
from nself.domains.webhook.model import Received
from nself.domains.webhook.service import process
from nself.domains.webhook.service.receive import receive
from nself.gateway.live import STRIPE_VERSION
from nself.http.application import application
from nself.registry import Registry
from stripe_sandbox.server import run_in_thread
from stripe_sandbox.settings import Settings as SandboxSettings

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
MONTH, AT = "2026-01", "2026-01-15T10:00:00Z"
KEY, SECRET = "sk_test_bench", "whsec_bench"
REGISTRY = Registry()
PRICES = """\
overage:
  api_calls: {amount: "0.05"}
  bandwidth: {amount: "0.09", per: 1048576}
"""


def until(true: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    """Wait for a condition, not for a time."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, what or "did not become true"
        time.sleep(0.02)


def signed(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    """What Stripe puts into `Stripe-Signature`."""
    seconds = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class Sandbox:
    """Stripe's side: what is in its books, and the switches for its faults."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.client = stripe.StripeClient(
            KEY, stripe_version=STRIPE_VERSION, base_addresses={"api": url}, max_network_retries=2
        )

    def get(self, path: str, **params: Any) -> Any:
        """Everything that a list holds, or one object, as plain JSON."""
        found = json.loads(self.client.raw_request("get", path, **params).body)
        if found["object"] != "list":
            return found
        objects = found["data"]
        while found["has_more"]:
            found = json.loads(self.client.raw_request("get", path, **params, starting_after=objects[-1]["id"]).body)
            objects += found["data"]
        return objects

    def post(self, path: str, **params: Any) -> Any:
        return json.loads(self.client.raw_request("post", path, **params).body)

    def admin(self, path: str, /, **body: Any) -> Any:
        method = "POST" if body or path.endswith("/clear") else "GET"
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def fault(self, path: str, method: str = "POST", times: int = 1, **what: Any) -> None:
        """`status`, `drop`, `delay`, `after`: see the sandbox's faults."""
        self.admin("faults", on="request", method=method, path=path, times=times, **what)

    def edit(self, kind: str, id: str, webhook: bool = True, delete: bool = False, **changes: Any) -> None:
        """A change by hand in Stripe's dashboard."""
        self.admin("edit", kind=kind, id=id, changes=changes, delete=delete, webhook=webhook)

    def events(self, after: str | None = None) -> list[dict[str, Any]]:
        """Oldest first; at most a hundred of those after one."""
        if after is None:
            return self.get("/v1/events", limit=100)[::-1]
        found = self.client.raw_request("get", "/v1/events", limit=100, ending_before=after)
        return json.loads(found.body)["data"][::-1]

    def customers(self, email: str) -> list[dict[str, Any]]:
        return self.get("/v1/customers", email=email, limit=100)

    def invoices(self, customer: str) -> list[dict[str, Any]]:
        return self.get("/v1/invoices", customer=customer, limit=100)

    def lines(self, invoice: str) -> list[dict[str, Any]]:
        return self.get(f"/v1/invoices/{invoice}/lines", limit=100)

    def payments(self, customer: str) -> list[dict[str, Any]]:
        """What was really charged."""
        found = self.get("/v1/payment_intents", customer=customer, limit=100)
        return [one for one in found if one["status"] == "succeeded"]


class Books(NamedTuple):
    """What Stripe has for one user: an ordinary run leaves one customer and one paid invoice."""

    customers: int
    invoices: list[tuple[str, int]]  # status and total, oldest first
    lines: list[tuple[str, int]]  # metric and amount
    charged: list[int]


class Bench:
    """Apps share a project folder, a database and a sandbox, as the processes of one installation do."""

    def __init__(self, folder: Path, database: str, sandbox: Sandbox) -> None:
        self.folder, self.database, self.sandbox = folder, database, sandbox
        self.acknowledged: str | None = None
        config = folder / "services" / "billing" / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "overage-tiers.yml").write_text(PRICES)
        (folder / ".env").touch()
        self.apps: list[App] = []

    def environ(self, **more: str) -> dict[str, str]:
        return {
            "DATABASE_URL": self.database,
            "STRIPE_MODE": "test",
            "STRIPE_SECRET_KEY": KEY,
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "STRIPE_MOCK_ENABLED": "true",
            "STRIPE_MOCK_PORT": str(self.sandbox.port),
            "STRIPE_RATE_LIMIT": "2000",
            "STRIPE_BREAKER_FAILURES": "0",  # what a test breaks is there again at once
            **more,
        }

    def app(self, clock: Clock = lambda: NOW, wait: float = 5, **more: str) -> App:
        """A fresh process, as far as the code can tell; its clock stands at NOW."""
        project = find_project(str(self.folder), {}, self.folder)
        made = App(project, REGISTRY, environ=self.environ(**more), clock=clock)
        made.__dict__["db"] = Database(self.database, wait=wait)
        self.apps.append(made)
        return made

    @cached_property
    def link(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self.database, autocommit=True, options="-c search_path=billing,public -c statement_timeout=60s"
        )

    def reconnect(self) -> None:
        self.link.close()
        del self.link

    def close(self) -> None:
        self.link.close()
        for app in self.apps:
            app.close()

    # The database, looked at and moved in time

    def sql(self, statement: str, *args: Any) -> list[tuple[Any, ...]]:
        cursor = self.link.execute(statement.encode(), args)
        return cursor.fetchall() if cursor.description else []

    def pass_time(self, seconds: float = 3600) -> None:
        """Leases run out and backoffs end, as they would after that time."""
        self.sql(
            "update billing_intents set next_at = now(), lease_until = now() - interval '1 s',"
            " first_sent_at = first_sent_at - %s * interval '1 s' where state = 'pending'",
            seconds,
        )
        self.sql(
            "update billing_webhook_objects set next_at = now(), lease_until = now() - interval '1 s'"
            " where next_at is not null"
        )

    def intents(self) -> list[tuple[str, str, str | None]]:
        """Kind, state and error code, oldest first."""
        return self.sql("select kind, state, error_code from billing_intents order by id")

    def events(self) -> list[tuple[str, str]]:
        """Id and status of each event that counts."""
        return self.sql("select event_id, status from billing_webhook_events where status <> 'duplicate' order by id")

    # What happens, in one step each

    def use(
        self, app: App, user: str, value: int, metric: str = "api_calls", at: str = AT, key: str | None = None
    ) -> None:
        customer.create_users(app, {user: None})
        record.record(app, RecordUsage(user=user, metric=metric, value=value, at=at, key=key))

    def create(self, app: App, user: str, card: str = "pm_card_visa") -> None:
        customer.create(app, CreateCustomer(user=user, email=email(user), payment_method=card))

    def bill(self, app: App, user: str | None = None, period: str = MONTH) -> Generated:
        return generate(app, GenerateInvoices(period=period, user=user))

    def listen(self, app: App, address: str) -> None:
        """Stripe delivers to the service of `app` at `address` from now on."""
        url = f"{address}/webhooks/stripe"
        endpoint = self.sandbox.post("/v1/webhook_endpoints", url=url, enabled_events=["*"])
        app.environ = {**app.environ, "STRIPE_WEBHOOK_SECRET": endpoint["secret"]}
        app.__dict__.pop("settings", None)

    def deliver(self, app: App) -> None:
        """Each event that was not acknowledged yet, in Stripe's order."""
        for event in self.sandbox.events(self.acknowledged):
            body = json.dumps(event).encode()
            receive(app, body, signed(body))
            self.acknowledged = event["id"]

    def deliver_only(self, app: App, id: str) -> Received:
        """This one, whether it was acknowledged or not."""
        body = json.dumps(self.sandbox.get(f"/v1/events/{id}")).encode()
        return receive(app, body, signed(body))

    def work(self, app: App) -> None:
        """The worker's loop, until nothing is due."""
        while process.process_due(app) + intents.perform_due(app):
            pass

    def whole_run(self, app: App, user: str) -> None:
        """Customer, invoice, its line, finalised, paid; the events received and processed."""
        self.create(app, user)
        self.bill(app, user)
        self.deliver(app)
        self.work(app)

    # What came of it

    def books(self, user: str) -> Books:
        customers = self.sandbox.customers(email(user))
        invoices = [one for each in customers for one in self.sandbox.invoices(each["id"])][::-1]
        lines = [line for one in invoices for line in self.sandbox.lines(one["id"])]
        return Books(
            len(customers),
            [(one["status"], one["total"]) for one in invoices],
            sorted((line["metadata"]["nself_metric"], line["amount"]) for line in lines),
            [one["amount_received"] for each in customers for one in self.sandbox.payments(each["id"])],
        )

    def differences(self) -> list[str]:
        """Where the mirror is not what Stripe has."""
        found: list[str] = []
        for table, kind, path in (("customers", "customer", "customers"), ("invoices", "invoice", "invoices")):
            theirs = {one["id"]: one for one in self.sandbox.get(f"/v1/{path}", limit=100)}
            ours = dict(self.sql(f"select {kind}_id, snapshot from billing_{table} where not deleted"))
            found += [f"{id}: not in the mirror" for id in theirs.keys() - ours.keys()]
            found += [f"{id}: not at Stripe" for id in ours.keys() - theirs.keys()]
            for id in theirs.keys() & ours.keys():
                found += [
                    f"{id}.{name}: {ours[id].get(name)!r}, at Stripe {value!r}"
                    for name, value in theirs[id].items()
                    if ours[id].get(name) != value
                ]
        return found

    def check_law(self) -> None:
        app = self.app()
        law = show.status(app, UsageStatus())
        app.close()
        assert law.balanced, law

    def check_quiet(self) -> None:
        """Nothing is left to do, and both sides agree."""
        assert [one for one in self.intents() if one[1] == "pending"] == []
        assert [one for one in self.events() if one[1] not in ("processed", "ignored")] == []
        assert self.differences() == []
        self.check_law()


def email(user: str) -> str:
    return f"{user}@example.com"


def charge_overage(app: App, metric: str, limit: int) -> None:
    """Users on plan free pay for what is above `limit` a month."""
    set_quota(app, SetQuota(plan="free", metric=metric, limit=limit, mode="overage"))


@contextmanager
def sandbox_in_thread(traffic: Path | None = None) -> Iterator[Sandbox]:
    settings = SandboxSettings(rate_limit=0, retry_delay=0.05, traffic=str(traffic) if traffic else None)
    with run_in_thread(settings) as running:
        yield Sandbox(running.url)


@contextmanager
def served(app: App) -> Iterator[str]:
    """The HTTP service of `app` in a thread; its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    config = uvicorn.Config(application(app), log_config=None, access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


def post(url: str, body: bytes, header: str | None = None, method: str = "POST") -> Answer:
    """As Stripe posts, whatever the answer."""
    headers = {} if header is None else {"Stripe-Signature": header}
    request = urllib.request.Request(url, body or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, json.loads(answer.read() or b"{}"))
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, json.loads(refusal.read() or b"{}"))


def no_traffic_complaints(traffic: Path) -> None:
    from stripe_openapi import validate_traffic

    complaints = validate_traffic(traffic)
    assert complaints == [], f"{len(complaints)}, first {complaints[:3]}"
