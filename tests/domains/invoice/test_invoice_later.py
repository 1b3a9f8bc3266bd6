"""Long operations may be left to the worker: BILLING_ASYNC_OPERATIONS and BILLING_USE_QUEUE."""

from __future__ import annotations

import pytest
from money_bench import MONTH, Bench
from money_seams import Crash, Seams, fragile

from nself.core import acting
from nself.core.errors import Unavailable
from nself.domains.connection.service import intents
from nself.domains.invoice.errors import PeriodNotOver
from nself.domains.invoice.inputs import GenerateInvoices
from nself.domains.invoice.model import Generated
from nself.domains.invoice.service.generate import command
from nself.domains.job import service as job
from nself.domains.job.inputs import ListOperations
from nself.domains.job.model import PutOff
from nself.measure import measures

LATER = {"BILLING_ASYNC_OPERATIONS": "true"}
MONTHLY = GenerateInvoices(period=MONTH)


@pytest.fixture
def used(bench: Bench) -> Bench:
    bench.use(bench.app(), "u", 40)
    bench.create(bench.app(), "u")
    return bench


def charged(bench: Bench) -> list[int]:
    return bench.books("u").charged


def test_everybodys_month_goes_on_in_the_worker_once(used: Bench) -> None:
    app = used.app(**LATER)
    asked = [command(app, MONTHLY) for _ in range(2)]
    assert all(isinstance(one, PutOff) for one in asked)
    assert asked[0] == asked[1]
    assert charged(used) == []
    killed = fragile(used, Seams(12), **LATER)
    with pytest.raises(Crash):
        job.perform_operations(killed)
    killed.close()
    used.pass_time(0)
    assert [one.state for one in job.list_operations(app, ListOperations())] == ["running"]
    assert job.run_due(used.app(**LATER), "operations") == 1
    (done,) = job.list_operations(app, ListOperations())
    assert (done.state, done.attempts, done.result["paid"], done.error) == ("done", 2, 1, None)
    assert charged(used) == [100]
    again = command(app, MONTHLY)
    assert isinstance(again, PutOff)
    assert again.operation > done.id


def test_what_needs_somebody_who_is_away_is_tried_again(used: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    used.sandbox.fault("invoices$", status=503, times=1000)
    app = used.app(**LATER, STRIPE_MAX_RETRIES="0")
    command(app, MONTHLY)
    monkeypatch.setattr(intents, "PATIENCE", 0)
    with pytest.raises(Unavailable):
        job.perform_operations(app)
    (waits,) = job.list_operations(app, ListOperations())
    assert (waits.state, waits.error is None) == ("queued", False)
    used.sandbox.admin("faults/clear")
    used.pass_time(0)
    job.perform_operations(used.app(**LATER))
    assert charged(used) == [100]


def test_one_that_is_refused_says_why(used: Bench) -> None:
    app = used.app(**LATER)
    command(app, GenerateInvoices(period="2099-01"))
    assert job.perform_operations(app) == "1 operations"
    (failed,) = job.list_operations(app, ListOperations())
    assert failed.state == "failed"
    assert "2099" in (failed.error or "")


@pytest.mark.parametrize("settings", [{}, {**LATER, "BILLING_USE_QUEUE": "false"}])
def test_without_one_of_the_switches_it_is_waited_for(used: Bench, settings: dict[str, str]) -> None:
    measures.take()
    done = command(used.app(**settings), MONTHLY)
    assert isinstance(done, Generated)
    assert (done.paid, charged(used)) == (1, [100])
    waited = [(one.labels, one.count) for one in measures.take() if one.name == "operation"]
    assert waited == [(("invoice.generate", "command", "ok"), 1)]


def test_a_request_that_waits_for_it_is_counted_as_one(used: Bench) -> None:
    measures.take()
    with acting.on(acting.new_task("req_1")):
        command(used.app(), MONTHLY)
        with pytest.raises(PeriodNotOver):
            command(used.app(), GenerateInvoices(period="2099-01"))
    told = [one.labels for one in measures.take() if one.name == "operation"]
    assert told == [("invoice.generate", "request", "ok"), ("invoice.generate", "request", "failed")]
