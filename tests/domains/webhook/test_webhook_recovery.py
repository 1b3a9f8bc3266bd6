"""Events that never arrived are found in Stripe's list, whatever happens to who looks for them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from money_bench import Bench, email
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.domains.customer.inputs import ListCustomers
from nself.domains.customer.service import list_customers
from nself.domains.job import service as job
from nself.domains.job.inputs import ListJobs
from nself.domains.webhook.inputs import ListEvents, WebhookStatus
from nself.domains.webhook.model import Recovered
from nself.domains.webhook.service import recover, show


def happen(bench: Bench, count: int, start: int = 0) -> list[str]:
    """So many customers appear at Stripe; ids of the events, oldest first."""
    for number in range(start, start + count):
        bench.sandbox.post("/v1/customers", email=email(f"user{number}"))
    return [event["id"] for event in bench.sandbox.get("/v1/events", limit=100)[::-1]][-count:]


def begun(bench: Bench, app: App) -> None:
    """The first look, some time ago: sandbox and tests live within one second."""
    recover.recover(app)
    bench.sql(
        "update billing_webhook_polls set seen_at = seen_at - interval '1 s', began_at = began_at - interval '1 s'"
    )


def small_pages(monkeypatch: pytest.MonkeyPatch, size: int = 3) -> None:
    monkeypatch.setattr(recover, "PAGE", size)


def test_history_is_not_missing_on_a_fresh_set_up(bench: Bench):
    happen(bench, 5)
    app = bench.app()
    assert recover.recover(app) == Recovered(read=0, missed=0, woken=0)
    assert recover.recover(app).missed == 0
    assert bench.events() == []


def test_what_was_never_delivered_is_stored_processed_and_told(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    small_pages(monkeypatch)
    app = bench.app()
    begun(bench, app)
    ids = happen(bench, 10)
    bench.deliver_only(app, ids[4])
    with caplog.at_level(logging.WARNING, "nself"):
        assert recover.recover(app) == Recovered(read=10, missed=9, woken=0)
    told = [record.fields["event"] for record in caplog.records if record.message == "webhook_missing"]  # type: ignore[attr-defined]
    assert sorted(told) == sorted(set(ids) - {ids[4]})
    bench.work(app)
    assert len(list_customers(app, ListCustomers())) == 10
    found = {one.event: one for one in show.events(app, ListEvents())}
    assert {(one.source, one.deliveries) for id, one in found.items() if id != ids[4]} == {("poll", 0)}
    assert (found[ids[4]].source, found[ids[4]].deliveries) == ("delivery", 1)
    bench.check_quiet()


def test_nothing_is_found_twice_and_a_late_delivery_is_a_duplicate(bench: Bench):
    app = bench.app()
    begun(bench, app)
    (id,) = happen(bench, 1)
    assert recover.recover(app).missed == 1
    assert recover.recover(app).missed == 0
    assert bench.deliver_only(app, id).duplicate
    (event,) = show.events(app, ListEvents())
    assert (event.source, event.deliveries) == ("poll", 1)
    assert show.status(app, WebhookStatus()).events == 1


def test_the_first_endpoint_is_the_begin_whatever_looks_first(bench: Bench):
    app = bench.app()
    happen(bench, 2)
    newest = bench.sandbox.get("/v1/events", limit=1)[0]["created"]
    recover.begin(app, recover._created({"created": newest + 1}))
    assert recover.recover(app).missed == 0
    recover.begin(app, recover._created({"created": 0}))
    assert recover.recover(app).missed == 0


@pytest.mark.parametrize("at", range(1, 17))
def test_a_run_that_is_killed_anywhere_leaves_no_gap(bench: Bench, at: int, monkeypatch: pytest.MonkeyPatch):
    """And what happens while it is dead, and after it, is found as well; with pages of two."""
    small_pages(monkeypatch, 2)
    begun(bench, bench.app())
    ids = happen(bench, 5)
    seams = Seams(at)
    dying = fragile(bench, seams)
    try:
        recover.recover(dying)
    except Crash:
        pass
    else:
        assert at > len(seams.passed), "no seam was left"
    ids += happen(bench, 3, start=5)
    app = bench.app()
    recover.recover(app)
    recover.recover(app)
    assert sorted(id for id, _ in bench.events()) == sorted(ids)
    ((missed, after),) = bench.sql("select missed, page_after from billing_webhook_polls")
    assert (missed, after) == (8, None)


def test_a_killed_run_goes_on_where_it_was(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    small_pages(monkeypatch, 2)
    app = bench.app()
    begun(bench, app)
    happen(bench, 9)
    pages: list[str | None] = []
    page = recover._page

    def three(app: App, after: str | None, start: Any) -> Any:
        pages.append(after)
        if len(pages) == 4:
            raise Crash
        return page(app, after, start)

    monkeypatch.setattr(recover, "_page", three)
    with pytest.raises(Crash):
        recover.recover(app)
    assert len(bench.events()) == 6
    assert recover.recover(app) == Recovered(read=3, missed=3, woken=0)
    assert pages[4] == pages[3] is not None


def test_a_place_that_fell_out_of_the_list_is_no_end(bench: Bench):
    app = bench.app()
    begun(bench, app)
    happen(bench, 3)
    bench.sql("update billing_webhook_polls set page_after = 'evt_gone', page_newest = now()")
    assert recover.recover(app).missed == 3


def test_two_at_once_find_each_event_once(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    small_pages(monkeypatch, 2)
    app, other = bench.app(), bench.app()
    begun(bench, app)
    ids = happen(bench, 7)
    page, nested = recover._page, [True]

    def meanwhile(app: App, after: str | None, start: Any) -> Any:
        if after and nested.pop():
            recover.recover(other)
        nested.append(False)
        return page(app, after, start)

    monkeypatch.setattr(recover, "_page", meanwhile)
    recover.recover(app)
    assert sorted(id for id, _ in bench.events()) == sorted(ids)
    assert bench.sql("select missed from billing_webhook_polls") == [(7,)]


def test_while_stripe_is_away_the_job_fails_and_the_next_one_finds_all(bench: Bench):
    app = bench.app(STRIPE_MAX_RETRIES="0")
    begun(bench, app)
    happen(bench, 2)
    bench.sandbox.fault("/v1/events.*", method="GET", status=503, times=1)
    job.ensure(app)

    def run() -> None:
        job.run_at(app, recover.JOB, app.clock())
        assert job.run_due(app, recover.JOB) == 1

    run()
    run()
    over = [one for one in job.list_jobs(app, ListJobs(type=recover.JOB)) if one.finished_at]
    assert {one.last_error or one.result for one in over} == {
        "2 events read, 2 had not arrived",
        "api_error: Stripe answered 503: Stripe is temporarily unavailable. Please try again later.",
    }
    assert len(bench.events()) == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"BILLING_AUTO_SYNC": "false"}, "BILLING_AUTO_SYNC is false"),
        ({"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY is not set"),
    ],
)
def test_it_is_left_alone_where_it_is_not_wanted(bench: Bench, settings: dict[str, str], said: str):
    assert recover.scheduled(bench.app(**settings)) == said
    assert bench.sql("select count(*) from billing_webhook_polls") == [(0,)]


def test_the_interval_is_the_setting(bench: Bench):
    app = bench.app(BILLING_SYNC_INTERVAL="90s")
    assert job.schedule(app, recover.JOB).every_seconds == 90


def test_a_wake_up_that_was_lost_is_swept(bench: Bench):
    app = bench.app()
    happen(bench, 1)
    bench.deliver(app)
    bench.sql("update billing_webhook_objects set next_at = null")
    bench.work(app)
    assert bench.events()[0][1] == "received"
    assert recover.recover(app).woken == 1
    bench.work(app)
    bench.check_quiet()
