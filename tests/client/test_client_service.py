"""The client against the real service: what is recorded is counted once, what is refused is told, quotas are asked."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.conftest import Make
from metering import people
from nself.app import App
from nself.client import (
    AsyncClient,
    BillingError,
    ClientClosed,
    Conflict,
    Denied,
    NotFound,
    QuotaExceeded,
    ServiceUnreachable,
)
from nself.core.errors import InvalidInteger, InvalidParameter
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits as quota
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show
from ports import free_port
from serving import new_key, until


def total(app: App, user: str, metric: str = "calls") -> tuple[int, int]:
    found = show.show(app, ShowUsage(user=user, metric=metric))
    return (found[0].value, found[0].events) if found else (0, 0)


def limited(app: App, limit: int) -> str:
    (user,) = people(app)
    quota.set_quota(app, SetQuota(user=user, metric="calls", limit=limit, period="year"))
    return user


# Usage


def test_what_is_recorded_is_counted_once(app: App, make: Make, tmp_path: Path) -> None:
    (user,) = people(app)
    with make() as client:
        keys = [client.record(user, "calls", at) for at in range(1, 1301)]
        assert len(set(keys)) == 1300
        assert client.flush(60)
        status = client.status()
        assert (status.accepted, status.duplicate, status.rejected, status.pending, status.pending_bytes) == (
            1300,
            0,
            0,
            0,
            0,
        )
        assert total(app, user) == (1300 * 1301 // 2, 1300)
    assert not list((tmp_path / "buffer").glob("*/queues/*"))
    with pytest.raises(ClientClosed):
        client.record(user, "calls")
    assert client.close()


def test_a_key_of_ones_own_counts_once_and_the_time_is_when_it_happened(app: App, make: Make) -> None:
    (user,) = people(app)
    client = make()
    earlier = datetime.now(UTC) - timedelta(hours=3)
    for _ in range(2):
        client.record(user, "calls", 5, key="mine", at=earlier, properties={"path": "/é", "size": [1, None]})
    client.record(user, "calls", 6, key="mine", at=earlier)
    assert client.flush(60)
    assert (client.status().accepted, client.status().duplicate) == (1, 1)
    assert [(one.code, one.event["value"]) for one in client.rejected()] == [("idempotency_error", 6)]
    found = show.show(app, ShowUsage(user=user, metric="calls", period=earlier.strftime("%Y-%m")))[0]
    assert (found.value, found.last_at) == (5, earlier)


def test_what_the_service_refuses_is_kept_with_its_reason_and_the_rest_counted(
    app: App, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    (user,) = people(app)
    client = make()
    client.record(user, "calls", 1)
    client.record("nobody-knows-me", "calls", 2, key="stranger")
    client.record(user, "no_such", 3)
    client.record(user, "calls", 4, at=datetime.now(UTC) + timedelta(hours=1))
    client.record(user, "calls", 5)
    assert client.flush(60)
    assert total(app, user) == (6, 2)
    assert [(one.event["value"], one.code) for one in client.rejected()] == [
        (2, "no_such_user"), (3, "no_such_metric"), (4, "timestamp_out_of_range"),
    ]  # fmt: skip
    assert client.status().rejected == 3
    assert "3 events were rejected (no_such_metric, no_such_user, timestamp_out_of_range)" in caplog.text
    people(app, "nobody-knows-me")
    again = client.rejected()[0].event
    client.record(**again)
    assert client.flush(60)
    assert total(app, "nobody-knows-me") == (2, 1)


def test_more_than_the_service_takes_at_once_is_sent_in_parts(app: App, make: Make) -> None:
    """USAGE_MAX_BATCH is 500 there, API_MAX_BODY 1 MiB."""
    (user,) = people(app)
    client = make(batch_events=5000, linger=0.5)
    for _ in range(2000):
        client.record(user, "calls")
    for _ in range(9):
        client.record(user, "calls", properties={"text": "x" * 200_000})
    assert client.flush(60)
    assert client.rejected() == [] and total(app, user) == (2009, 2009)


@pytest.mark.parametrize(
    ("wrong", "error", "param"),
    [
        ({"value": 1.5}, InvalidInteger, "value"),
        ({"value": True}, InvalidInteger, "value"),
        ({"value": -1}, InvalidParameter, "value"),
        ({"value": 10**15 + 1}, InvalidParameter, "value"),
        ({"user": ""}, InvalidParameter, "user"),
        ({"user": " padded"}, InvalidParameter, "user"),
        ({"user": "x" * 256}, InvalidParameter, "user"),
        ({"metric": None}, InvalidParameter, "metric"),
        ({"key": "new\nline"}, InvalidParameter, "key"),
        ({"at": datetime(2026, 1, 1)}, InvalidParameter, "at"),
        ({"at": "yesterday"}, InvalidParameter, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, InvalidParameter, "at"),
        ({"properties": {"what": object()}}, InvalidParameter, "properties"),
        ({"properties": {"what": "\ud800"}}, InvalidParameter, "properties"),
        ({"properties": {"text": "x" * 300_000}}, InvalidParameter, "properties"),
    ],
)
def test_what_can_never_be_counted_is_refused_at_once(
    make: Make, wrong: dict[str, object], error: type[BillingError], param: str
) -> None:
    client = make()
    with pytest.raises(error) as told:
        client.record(**{"user": "user", "metric": "calls", **wrong})  # type: ignore[arg-type]
    assert told.value.param == param and told.value.code.startswith("parameter_invalid")
    assert client.status().pending == 0


def test_the_client_refuses_nothing_that_the_service_takes(app: App, make: Make) -> None:
    (user,) = people(app)
    client = make()
    client.record(user, "calls", 0, key="k" * 255)
    client.record(user, "calls", 10**15, key=" k ", at="2026-01-15T10:00:00+01:00")
    assert client.flush(60) and client.rejected() == []


def test_a_key_that_is_refused_costs_nothing(app: App, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """401 and 403 say nothing of the events: they wait, and the right key takes them."""
    (user,) = people(app)
    for wrong, code in (
        ("nsk_test_00000000_" + "0" * 32, "invalid_api_key"),
        (new_key(app, "quota"), "insufficient_permissions"),
    ):
        with make(key=wrong) as client:
            client.record(user, "calls")
            until(lambda client=client: client.status().error_code, what="no word of the refusal")
            assert client.status().error_code == code and client.status().pending >= 1
            assert code in caplog.text
            assert not client.close()
    right = make()
    until(lambda: total(app, user) == (2, 2), what=str(right.status()))
    assert right.rejected() == []


def test_usage_of_another_mode_or_service_stays_there(app: App, make: Make) -> None:
    (user,) = people(app)
    with make(key="nsk_live_00000000_" + "0" * 32) as live, make(url=f"http://127.0.0.1:{free_port()}") as other:
        for client in (live, other):
            client.record(user, "calls")
    with make() as client:
        client.record(user, "calls")
        assert client.flush(60)
    assert total(app, user) == (1, 1)


def test_threads_share_a_client(app: App, make: Make) -> None:
    (user,) = people(app)
    client = make()

    def run() -> None:
        for _ in range(100):
            client.record(user, "calls")

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush(60) and total(app, user) == (800, 800)


# Quotas


def test_check_reserve_commit_and_release(app: App, make: Make) -> None:
    user, client = limited(app, 10), make()
    found = client.check(user, "calls", 10)
    assert (found.allowed, found.limit, found.used, found.remaining, found.retry_after) == (True, 10, 0, 10, None)
    assert found.resets_at > datetime.now(UTC)
    first = client.reserve(user, "calls", 7)
    assert first.allowed and first.reservation and first.held == 7
    refused = client.reserve(user, "calls", 4)
    assert (refused.allowed, refused.reservation, refused.remaining) == (False, None, 3)
    assert refused.retry_after and refused.retry_after > 0
    assert not client.check(user, "calls", 4).allowed
    for _ in range(2):
        assert client.commit(first.reservation, 6).used == 6
    with pytest.raises(Conflict) as settled:
        client.commit(first.reservation, 5)
    assert settled.value.code == "reservation_settled"
    second = client.reserve(user, "calls", 4)
    assert second.reservation
    for _ in range(2):
        assert client.release(second.reservation).held == 0
    assert total(app, user) == (6, 1)


def test_the_services_errors_come_with_code_hint_and_family(app: App, make: Make) -> None:
    client = make()
    with pytest.raises(NotFound) as told:
        client.check("nobody-at-all", "calls")
    error = told.value
    assert (error.code, error.status, error.param) == ("no_such_user", 404, "user")
    assert "nobody-at-all" in error.message and error.hint and error.hint[0].startswith("nself ")
    with pytest.raises(NotFound, match="reservation"):
        client.commit("res_nonsense")
    with pytest.raises(BillingError) as told:
        client.check("user", "calls", -1)
    assert told.value.status == 400
    with pytest.raises(Denied) as told:
        make(key="nonsense").check("user", "calls")
    assert (told.value.code, told.value.status) == ("invalid_api_key", 401)


def test_a_reservation_commits_or_releases(app: App, make: Make) -> None:
    user, client = limited(app, 10), make()
    with client.reservation(user, "calls", 8) as held:
        assert held.decision and held.decision.held == 8
        held.value = 3
    assert total(app, user) == (3, 1)
    with pytest.raises(ZeroDivisionError), client.reservation(user, "calls", 7):
        raise ZeroDivisionError
    assert client.check(user, "calls", 7).allowed
    with pytest.raises(QuotaExceeded) as told, client.reservation(user, "calls", 8):
        raise AssertionError("not reached")
    assert (told.value.decision.remaining, told.value.status, told.value.code) == (7, 429, "quota_exceeded")
    with pytest.raises(QuotaExceeded), client.reservation(user, "calls", 2) as held:
        held.value = 9
    assert held.id and client.commit(held.id, 2).allowed
    assert total(app, user) == (5, 2)


def test_a_commit_brings_the_properties_that_the_metric_looks_at(app: App, make: Make) -> None:
    (user,), client = people(app), make()
    with client.reservation(user, "pages", 5) as held:
        held.properties = {"status": 200, "region": "eu"}
    with pytest.raises(BillingError, match="status must be < 400"), client.reservation(user, "pages", 5) as held:
        held.value = 2
    assert held.id and client.commit(held.id, 2, properties={"status": 304, "region": "us"}).allowed
    with client.reservation(user, "pages") as held:
        held.properties = {"status": 200, "region": "us"}
        away, client._transport.url = client._transport.url, f"http://127.0.0.1:{free_port()}"
    assert held.decision is None
    client._transport.url = away
    assert client.flush(60)
    found = show.show(app, ShowUsage(user=user, metric="pages", group_by="region"))
    assert {one.group: one.value for one in found} == {"eu": 5, "us": 3}
    with pytest.raises(InvalidParameter, match="properties"):
        client.commit(held.id or "", 1, properties={"what": object()})


def test_a_commit_goes_through_the_buffer_while_the_service_is_away(app: App, make: Make) -> None:
    user, client = limited(app, 10), make()
    with client.reservation(user, "calls", 8) as held:
        held.value = 6
        away, client._transport.url = client._transport.url, f"http://127.0.0.1:{free_port()}"
        client.record(user, "calls", 1)
    assert held.decision is None and client.status().pending >= 1
    client._transport.url = away
    assert client.flush(60)
    assert total(app, user) == (7, 2) and client.check(user, "calls").held == 0
    assert client.rejected() == []


def test_a_service_that_is_away_is_told_soon(make: Make) -> None:
    client = make(url=f"http://127.0.0.1:{free_port()}", timeout=0.5)
    with pytest.raises(ServiceUnreachable) as told:
        client.check("user", "calls")
    assert told.value.status == 503 and "nself status http" in told.value.hint


# asyncio


def test_the_same_with_await(app: App, url: str, key: str, tmp_path: Path) -> None:
    async def work(user: str, **options: object) -> None:
        async with AsyncClient(url, key, buffer=str(tmp_path / "aio"), **options) as client:  # type: ignore[arg-type]
            keys = await asyncio.gather(*(client.record(user, "logins") for _ in range(100)))
            assert len(set(keys)) == 100
            assert await client.flush(60)
            assert client.status().accepted == 100 and await client.rejected() == []
            found = await asyncio.gather(*(client.reserve(user, "calls", 4) for _ in range(20)))
            granted = [one.reservation for one in found if one.reservation]
            assert len(granted) == 12
            await asyncio.gather(*(client.release(one) for one in granted))
            async with client.reservation(user, "calls", 5) as held:
                held.value = 2
            with pytest.raises(ZeroDivisionError):
                async with client.reservation(user, "calls", 5):
                    raise ZeroDivisionError
            with pytest.raises(QuotaExceeded):
                async with client.reservation(user, "calls", 51):
                    pass
            assert (await client.check(user, "calls")).held == 0
            assert (
                await client.commit((await client.reserve(user, "calls", 1)).reservation or "", None, {"a": 1})
            ).allowed

    for options in ({}, {"fsync_interval": 1.0}):
        user = limited(app, 50)
        asyncio.run(work(user, **options))
        assert total(app, user) == (3, 2) and total(app, user, "logins")[0] == 100


def test_a_cancelled_reserve_is_given_back(app: App, url: str, key: str, tmp_path: Path) -> None:
    user = limited(app, 10)

    async def work() -> None:
        async with AsyncClient(url, key, buffer=str(tmp_path / "aio")) as client:
            for _ in range(20):
                asked = asyncio.create_task(client.reserve(user, "calls", 1))
                await asyncio.sleep(0)
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
            for _ in range(200):
                if (await client.check(user, "calls")).held == 0:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError("something is still held")

    asyncio.run(work())
