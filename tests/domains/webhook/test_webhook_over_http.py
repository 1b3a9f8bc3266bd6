"""What the receiver takes and refuses, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from money_bench import NOW, SECRET, Answer, Bench, post, served, signed, until

from nself.core.clock import system_clock
from nself.domains.webhook.inputs import ListEvents, WebhookStatus
from nself.domains.webhook.service import show

OLD, NEW = "whsec_old", "whsec_new"


def event(id: str = "evt_1", **more: Any) -> bytes:
    thing = {"id": "cus_1", "object": "customer"}
    whole = {"id": id, "type": "customer.updated", "created": 1, "livemode": False, "data": {"object": thing}, **more}
    return json.dumps(whole).encode()


@pytest.fixture
def url(bench: Bench) -> Iterator[str]:
    app = bench.app(STRIPE_WEBHOOK_SECRET=f"{NEW}, {SECRET},{OLD}")
    with served(app) as address:
        yield f"{address}/webhooks/stripe"


def after(seconds: float, body: bytes = event()) -> str:
    return signed(body, at=NOW + timedelta(seconds=seconds))


BODY, GOOD = event(), after(0)
TIME, _, DIGEST = GOOD.partition(",")
ACCEPTED = {
    "plain": GOOD,
    "with blanks": GOOD.replace(",", ", "),
    "the newest secret": signed(BODY, NEW),
    "the secret that is being replaced": signed(BODY, OLD),
    "two signatures, the second is ours": f"{TIME},v1={'0' * 64},{DIGEST}",
    "with the old scheme": f"{GOOD},v0={'0' * 64}",
    "as old as is allowed": after(-300),
    "as early as is allowed": after(300),
}
REFUSED = {
    "none": None,
    "empty": "",
    "no header at all": "nonsense",
    "wrong secret": signed(BODY, "whsec_wrong"),
    "empty secret": signed(BODY, ""),
    "another body's": signed(event("evt_2")),
    "only the old scheme": GOOD.replace("v1=", "v0="),
    "no time": DIGEST,
    "two times": f"t=1,{GOOD}",
    "time changed": GOOD.replace("t=1", "t=2"),
    "cut": GOOD[:-1],
    "longer": GOOD + "0",
    "not text": "t=1,v1=\xff\xfe",
    "endless": "t=1," + "v1=0," * 1500,
}


def test_a_good_signature_is_taken(url: str, bench: Bench):
    for case, header in ACCEPTED.items():
        answer = post(url, BODY, header)
        assert answer == Answer(200, {"received": True, "event": "evt_1", "duplicate": case != "plain"}), case
    assert bench.events() == [("evt_1", "received")]


def test_a_bad_signature_is_refused_and_nothing_is_stored(url: str, bench: Bench):
    for case, header in REFUSED.items():
        answer = post(url, BODY, header)
        assert answer.status == 400, case
        error = answer.body["error"]
        assert error["code"] == "webhook_signature_verification_failed", case
        assert error["message"] == "No signatures found matching the expected signature for payload", case
        assert "nself billing webhook test-signature" in error["hint"]
    assert bench.events() == []


@pytest.mark.parametrize(("seconds", "side"), [(-301, "before"), (301, "after")])
def test_a_signature_of_another_time_names_the_clock(url: str, bench: Bench, seconds: int, side: str):
    answer = post(url, BODY, after(seconds))
    assert answer.status == 400
    assert f"301 seconds {side} our clock's time" in answer.body["error"]["message"]
    assert bench.events() == []


def test_a_body_that_was_changed_by_one_byte_anywhere_is_refused(url: str, bench: Bench):
    for at in range(0, len(BODY), 7):
        changed = BODY[:at] + bytes([BODY[at] ^ 1]) + BODY[at + 1 :]
        assert post(url, changed, GOOD).status == 400, at
    assert post(url, BODY + b"\n", GOOD).status == 400
    assert bench.events() == []


def test_an_unsigned_ping_gets_the_guides_words(url: str):
    answer = post(url, b'{"type":"ping"}')
    assert answer.status == 400
    assert answer.body["error"]["message"] == "No signatures found matching the expected signature for payload"


def test_the_other_address_and_methods(url: str, bench: Bench):
    assert post(url.replace("/webhooks", "/api/webhooks"), BODY, GOOD).status == 200
    assert post(url, b"", method="HEAD").status == 200
    assert post(url, b"", method="GET").status == 405
    assert bench.events() == [("evt_1", "received")]


def test_what_is_too_large_is_not_read(url: str, bench: Bench):
    body = event(padding="x" * 2**20)
    answer = post(url, body, signed(body))
    assert answer.status == 413
    assert answer.body["error"]["hint"] == ["nself env get WEBHOOK_MAX_BODY"]
    assert bench.events() == []


def test_signed_nonsense_is_refused_with_a_reason(url: str, bench: Bench):
    json_of_something_else = (b"", b"{}", b"[]", b'{"id": "evt_1"}', event(created="soon"), event("evt\0"))
    deep = event(note="x").replace(b'"x"', b"[" * 50_000 + b"]" * 50_000)
    sizes = (
        event(""),
        event("evt_" + "".join(f"{n:x}" for n in range(9000))),
        event(created=-(10**18)),
        event(created=10**17),
    )
    for body in (*json_of_something_else, *sizes, deep, b"not json", b"\xff"):
        answer = post(url, body, signed(body))
        assert answer.status == 400, body
        assert answer.body["error"]["code"] == "webhook_unreadable", body
    assert bench.events() == []


def test_text_that_looks_like_a_nul_is_no_reason_to_refuse_an_event(url: str, bench: Bench):
    for number, text in enumerate(("a\\u0000b", "a\0b")):
        body = event(f"evt_{number}", note=text)
        assert post(url, body, signed(body)).status == 200
    assert [status for _, status in bench.events()] == ["received", "received"]


def test_an_event_that_is_delivered_ten_times_at_once_counts_once(url: str, bench: Bench):
    start = threading.Barrier(10)

    def deliver(_: int) -> Answer:
        start.wait()
        return post(url, BODY, GOOD)

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(deliver, range(10)))
    assert [answer.status for answer in answers] == [200] * 10
    assert sorted(answer.body["duplicate"] for answer in answers) == [False] + [True] * 9
    (shown,) = show.events(bench.app(), ListEvents())
    assert (shown.deliveries, shown.status) == (10, "received")


def test_while_the_database_is_away_the_answer_is_503_and_the_event_comes_again(bench: Bench, server: str):
    app = bench.app(clock=system_clock, wait=0.3)
    name = bench.database.partition("dbname=")[2].split()[0]
    away = (
        f"alter database {name} allow_connections false",
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' and pid <> pg_backend_pid()",
    )
    with served(app) as address:
        bench.listen(app, address)
        with psycopg.connect(server, autocommit=True) as other:
            for statement in away:
                other.execute(statement.encode())
        bench.sandbox.post("/v1/customers", email="a@example.com")

        def statuses() -> list[int | None]:
            tries = bench.sandbox.admin("deliveries")["deliveries"]
            return [one["status"] for delivery in tries for one in delivery["attempts"]]

        until(lambda: len(statuses()) > 1)
        assert set(statuses()) == {503}
        with psycopg.connect(server, autocommit=True) as other:
            other.execute(f"alter database {name} allow_connections true".encode())
        bench.reconnect()
        until(lambda: bench.sandbox.admin("state")["deliveries_waiting"] == 0)
    assert [status for _, status in bench.events()] == ["received"]
    bench.work(bench.app())
    bench.check_quiet()


def test_a_connection_that_is_lost_in_the_middle_is_no_500(url: str, bench: Bench):
    """The insert waits for a lock when its backend is ended; the receiver tries again."""
    bench.sql("insert into billing_webhook_objects (object_id) values ('cus_1')")
    waiting = "from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    with psycopg.connect(bench.database) as lock, ThreadPoolExecutor(1) as pool:
        lock.execute("select from billing.billing_webhook_objects for update")
        answer = pool.submit(post, url, BODY, GOOD)
        until(lambda: bench.sql(f"select 1 {waiting}"))
        bench.sql(f"select pg_terminate_backend(pid) {waiting}")
        lock.rollback()
        assert answer.result() == Answer(200, {"received": True, "event": "evt_1", "duplicate": False})
    assert show.status(bench.app(), WebhookStatus()).events == 1
