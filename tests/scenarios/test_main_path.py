"""Real traffic in, paid invoices out: real processes, and an independent check from the raw lines."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import pytest
from money_bench import KEY, REGISTRY, Bench, Sandbox, charge_overage, no_traffic_complaints, until
from money_processes import running, sandbox_process

from nself.app import App
from nself.config import find_project
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import CreateCustomer
from nself.domains.invoice.inputs import GenerateInvoices, ListInvoices
from nself.domains.invoice.service import generate as invoices
from nself.domains.invoice.service import show
from nself.domains.usage.inputs import ImportUsage
from nself.domains.usage.service.import_file import import_file
from nself.domains.usage.service.show import months
from nself.domains.webhook.inputs import UpdateUrl, WebhookStatus
from nself.domains.webhook.service import endpoints
from nself.domains.webhook.service import show as webhook
from ports import free_port

LOG = Path(__file__).parents[3] / "shared" / "data" / "apache-access-2015-05.log.gz"
CALLS, MEGABYTES = 40, 20  # free in a month
MONTH = "2015-05"

Lines = dict[str, dict[str, int]]  # user -> metric -> cents


def by_hand() -> Lines:
    """What each user owes, from the raw lines: a few lines of its own, fractions, rounded half up at the end."""
    calls, sent = Counter[str](), Counter[str]()
    for line in gzip.decompress(LOG.read_bytes()).decode("latin-1").splitlines():
        found = re.match(r'(\S+) .*?" \d{3} (\d+|-) "', line)
        assert found, line
        calls[found[1]] += 1
        sent[found[1]] += 0 if found[2] == "-" else int(found[2])
    assert (calls.total(), sent.total(), len(calls)) == (10_000, 2_747_282_740, 1_753)
    assert calls["66.249.73.135"] == 482
    owed: Lines = {}
    for user in calls:
        exact = {
            "api_calls": Fraction(5, 100) * max(0, calls[user] - CALLS),
            "bandwidth": Fraction(9, 100) * max(0, sent[user] - MEGABYTES * 2**20) / 2**20,
        }
        cents = {metric: int(price * 100 + Fraction(1, 2)) for metric, price in exact.items()}
        if any(cents.values()):
            owed[user] = {metric: value for metric, value in cents.items() if value}
    return owed


def at_stripe(sandbox: Sandbox) -> tuple[Lines, set[str]]:
    """The lines of all invoices by user, and the states that the invoices are in."""
    found: Lines = {}
    states: set[str] = set()
    for invoice in sandbox.get("/v1/invoices", limit=100):
        lines = {line["metadata"]["nself_metric"]: line["amount"] for line in sandbox.lines(invoice["id"])}
        assert invoice["total"] == sum(lines.values())
        assert invoice["metadata"]["nself_user"] not in found, "two invoices of one user"
        found[invoice["metadata"]["nself_user"]] = lines
        states.add(invoice["status"])
    return found, states


def in_mirror(app: App) -> tuple[Lines, set[str]]:
    found: Lines = {}
    states: set[str] = set()
    for invoice in show.list_invoices(app, ListInvoices(limit=1000)):
        shown = show.show(app, show.ShowInvoice(invoice=invoice.id))
        assert shown.user is not None
        found[shown.user] = {(line.description or "").partition(":")[0]: line.amount_minor for line in shown.lines}
        states.add(shown.status)
    return found, states


class Project:
    """One installation: an App as a command has it, beside a service and a worker that run as processes."""

    def __init__(self, folder: Path, database: str, sandbox: Sandbox) -> None:
        self.sandbox, self.port = sandbox, free_port()
        self.bench = Bench(folder, database, sandbox)
        environ = self.bench.environ(BILLING_PORT=str(self.port), STRIPE_SECRET_KEY=KEY)
        del environ["STRIPE_WEBHOOK_SECRET"]  # that of the endpoint will stand in .secrets
        (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in environ.items()))
        self.app = App(find_project(str(folder), {}, folder), REGISTRY, environ={})

    def close(self) -> None:
        self.bench.close()
        self.app.close()

    def run_everything(self) -> tuple[int, int]:
        """Import, customers, invoices; new events and new invoices."""
        imported = import_file(self.app, ImportUsage(file=str(LOG), create_users=True))
        (span,) = months(self.app)
        needed = invoices.users_without_customer(self.app, span)
        wishes = [
            CreateCustomer(user=user, email=f"{user}@example.com", payment_method="pm_card_visa") for user in needed
        ]
        customer.create_many(self.app, wishes)
        done = invoices.generate(self.app, GenerateInvoices(period=MONTH))
        assert (done.failed, done.unpaid, done.without_customer) == (0, 0, 0)
        return imported.accepted, done.planned_now

    def settled(self) -> bool:
        """Every event that Stripe has was received and processed."""
        return (
            self.sandbox.admin("state")["deliveries_waiting"] == 0
            and webhook.status(self.app, WebhookStatus()).waiting == 0
        )


@pytest.fixture
def project(tmp_path: Path, database: str) -> Iterator[Project]:
    if not LOG.exists():
        pytest.skip(f"{LOG} is not here")
    folder, traffic = tmp_path / "project", tmp_path / "traffic.jsonl"
    folder.mkdir()
    environ = {"NSELF_PROJECT": str(folder)}
    with sandbox_process(tmp_path, traffic) as sandbox, closing(Project(folder, database, sandbox)) as made:
        url = f"http://127.0.0.1:{made.port}"
        endpoints.update_url(made.app, UpdateUrl(url=f"{url}/webhooks/stripe"))
        with (
            running(tmp_path / "http.log", "nself.http", environ=environ, url=f"{url}/health"),
            running(tmp_path / "worker.log", "nself.worker", environ=environ),
        ):
            yield made
    no_traffic_complaints(traffic)


def test_an_access_log_becomes_paid_invoices_that_add_up_to_the_cent(project: Project):
    charge_overage(project.app, "api_calls", CALLS)
    charge_overage(project.app, "bandwidth", MEGABYTES * 2**20)
    owed = by_hand()
    assert len(owed) > 40
    assert any(len(lines) == 2 for lines in owed.values())

    events, planned = project.run_everything()
    assert (events, planned) == (10_000 + 10_000 - 669, len(owed))
    until(project.settled, 60)
    assert at_stripe(project.sandbox) == (owed, {"paid"})
    assert in_mirror(project.app) == (owed, {"paid"})
    project.bench.check_quiet()

    before = project.sandbox.admin("state")["objects"]
    assert project.run_everything() == (0, 0)
    assert project.sandbox.admin("state")["objects"] == before
    assert at_stripe(project.sandbox) == (owed, {"paid"})
    project.bench.check_quiet()
