"""No event is lost after a 2xx: PostgreSQL, the service and workers are killed while Stripe delivers."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import psycopg
import pytest
from metering_bench import Postgres
from money_bench import Bench, Sandbox, email, signed

from nself.core.clock import system_clock
from nself.db.migrate import migrate
from nself.domains.webhook.service import recover
from serving import Service, until

pytestmark = pytest.mark.xdist_group("webhook faults")
PATH = "/webhooks/stripe"
SENDERS, CUSTOMERS = 6, 12
PAUSE = 0.4
"""Seconds of load between two faults."""


class Worker:
    """`python -m nself.worker`."""

    def __init__(self, service: Service) -> None:
        self.environ, self.log = service.environ, service.log.with_name("worker.log")
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as sink:
            line = [sys.executable, "-m", "nself.worker"]
            self.process = subprocess.Popen(line, env=self.environ, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Stripe:
    """Delivers each event until it is acknowledged, with several connections; some twice."""

    def __init__(self, service: Service, customers: list[str]) -> None:
        self.service, self.customers, self.run = service, customers, os.urandom(4).hex()
        self.acknowledged: list[str] = []
        self.statuses: set[int] = set()
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._deliver, args=(number,)) for number in range(SENDERS)]

    def __enter__(self) -> Stripe:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def _deliver(self, number: int) -> None:
        chance, turn = random.Random(number), 0
        while not self.stopping.is_set():
            id = f"evt_{self.run}_{number}_{turn}"
            turn += 1
            for _ in range(1 + (chance.random() < 0.1)):
                self._until_acknowledged(id, chance.choice(self.customers))
            self.acknowledged.append(id)

    def _until_acknowledged(self, id: str, customer: str) -> None:
        now = system_clock()
        thing = {"id": customer, "object": "customer"}
        event = {
            "id": id, "type": "customer.updated", "created": int(now.timestamp()), "livemode": False, "data": {"object": thing}
        }  # fmt: skip
        body = json.dumps(event).encode()
        while True:
            try:
                with self.service.client(None, timeout=20) as client:
                    answer = client.post(PATH, body, Stripe_Signature=signed(body, at=now))
            except (OSError, HTTPException):
                time.sleep(0.02)
                continue
            self.statuses.add(answer.status)
            if answer.status == 200:
                return
            time.sleep(0.02)


@pytest.fixture
def bench(tmp_path: Path, postgres: Postgres, sandbox: Sandbox) -> Iterator[Bench]:
    migrate(postgres.conninfo)
    folder = tmp_path / "project"
    folder.mkdir()
    made = Bench(folder, postgres.conninfo, sandbox)
    yield made
    made.close()


@contextmanager
def services(bench: Bench) -> Iterator[tuple[Service, list[Worker]]]:
    settings = {name: value for name, value in bench.environ().items() if name != "DATABASE_URL"}
    service = Service(bench.folder, bench.database, BILLING_DB_POOL_TIMEOUT="2s", WEBHOOK_TIMEOUT="5s", **settings)
    service.start()
    workers = [Worker(service), Worker(service)]
    try:
        yield service, workers
        assert service.process and service.process.poll() is None, service.log.read_text()[-3000:]
        assert [worker.process.poll() for worker in workers] == [None, None], workers[0].log.read_text()[-3000:]
        for worker in workers:
            assert worker.stop() == 0
    finally:
        for worker in workers:
            worker.kill()
        service.kill()


def hurt(fault: str, postgres: Postgres, service: Service, worker: Worker) -> None:
    match fault:
        case "database at once":
            postgres.end(signal.SIGQUIT)
            postgres.start()
        case "database fast":
            postgres.end(signal.SIGINT)
            time.sleep(0.3)
            postgres.start()
        case "service":
            service.kill()
            service.start()
        case _:
            worker.kill()
            worker.start()


FAULTS = ("database at once", "database fast", "service", "worker")


def endure(bench: Bench, postgres: Postgres, faults: list[str]) -> None:
    customers = [bench.sandbox.post("/v1/customers", email=email(f"u{n}"))["id"] for n in range(CUSTOMERS)]
    with services(bench) as (service, workers):
        with Stripe(service, customers) as stripe:
            for turn, fault in enumerate(faults):
                time.sleep(PAUSE)
                hurt(fault, postgres, service, workers[turn % 2])
                customer = customers[turn % CUSTOMERS]
                bench.sandbox.edit("customer", customer, name=f"after {fault}")
            time.sleep(PAUSE)
        assert stripe.statuses <= {200, 503}
        settled(bench, stripe)
        assert "Traceback" not in service.log.read_text()
    stored = dict(bench.sql("select event_id, count(*) from billing_webhook_events group by event_id"))
    assert [id for id in stripe.acknowledged if stored.get(id) != 1] == []
    assert len(stripe.acknowledged) > 5 * len(faults)
    states = bench.sql(
        "select distinct status from billing_webhook_events where event_id like %s", f"evt_{stripe.run}%"
    )
    assert states == [("processed",)]
    mirrored = dict(bench.sql("select customer_id, name from billing_customers"))
    for customer in customers:
        assert mirrored[customer] == bench.sandbox.get(f"/v1/customers/{customer}")["name"]


def settled(bench: Bench, stripe: Stripe) -> None:
    """Workers have done all; what a killed one held is theirs once its lease is over, which is not waited for here."""

    over = (
        "update billing_webhook_objects set lease_until = now(), next_at = now()"
        " where lease_until between now() and now() + interval '33 s'"  # of 35; taken at least two seconds ago
    )

    def done() -> bool:
        try:
            ((left,),) = bench.sql(
                "select count(*) from billing_webhook_events where status in ('received', 'failed') and event_id like %s",
                f"evt_{stripe.run}%",
            )
            bench.sql(
                "update billing_webhook_objects set next_at = now() where next_at > now() and lease_until is null"
            )
            bench.sql(over)
        except psycopg.OperationalError:
            bench.reconnect()
            return False
        return left == 0

    until(done, seconds=90, what="events were not processed")


def test_whatever_is_killed_no_acknowledged_event_is_lost(bench: Bench, postgres: Postgres):
    endure(bench, postgres, list(FAULTS))


@pytest.mark.long
def test_twenty_kills_in_any_order(bench: Bench, postgres: Postgres):
    faults = list(FAULTS) * 5
    random.Random(7).shuffle(faults)
    endure(bench, postgres, faults)


@pytest.mark.long
def test_events_that_were_lost_on_the_way_are_found_after_all(bench: Bench):
    """The service is away, Stripe gives up: its list still has them."""
    app = bench.app(clock=system_clock)
    recover.recover(app)
    bench.sql(
        "update billing_webhook_polls set seen_at = seen_at - interval '1 s', began_at = began_at - interval '1 s'"
    )
    lost = [bench.sandbox.post("/v1/customers", email=email(f"lost{n}"))["id"] for n in range(30)]
    with services(bench):
        recover.recover(app)
        query = "select count(*) from billing_customers where customer_id = any(%s)"
        until(lambda: bench.sql(query, lost) == [(30,)], seconds=60)
