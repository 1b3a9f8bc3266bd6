"""Ingest over HTTP while PostgreSQL or the service is killed: what was answered with 2xx is there exactly once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from metering_bench import CHECK, USAGE, Postgres, Senders

from metering import METRICS, app_on, fresh, law, people
from serving import Client, Service, new_key, serving, until

pytestmark = pytest.mark.xdist_group("metering faults")  # one server for all of them
IMPATIENT = {"BILLING_DB_POOL_TIMEOUT": "500ms", "USAGE_ENABLE_BUFFER": "false"}


@pytest.fixture
def running(postgres: Postgres, tmp_path: Path) -> Iterator[tuple[Service, str]]:
    """The service on that server, with a key. At the end the law holds."""
    folder = tmp_path / "project"
    with app_on(folder, postgres.conninfo, metrics=METRICS) as app:
        key = new_key(app)
    with serving(folder, postgres.conninfo, **IMPATIENT) as service:
        yield service, key
        assert service.process
        assert service.process.poll() is None
    with app_on(folder, postgres.conninfo) as app:
        law(app)


@pytest.fixture
def senders(running: tuple[Service, str], postgres: Postgres, tmp_path: Path) -> Iterator[Senders]:
    folder = tmp_path / "project"
    with app_on(folder, postgres.conninfo) as app:
        users = people(app, *(fresh() for _ in range(3)))
    made = Senders(*running, users)
    yield made
    made.assert_counted_once(folder, postgres.conninfo)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT], ids=["kill -9", "immediate"])
def test_a_database_that_is_killed_under_ingest_loses_and_doubles_nothing(
    senders: Senders, postgres: Postgres, number: signal.Signals
) -> None:
    with senders.at_work():
        postgres.end(number)
        postgres.start()


def test_a_service_that_is_killed_under_ingest_loses_and_doubles_nothing(senders: Senders) -> None:
    with senders.at_work():
        senders.service.kill()
        senders.service.start()


def test_a_service_that_is_asked_to_stop_answers_what_it_took(senders: Senders) -> None:
    with senders.at_work():
        assert senders.service.stop() in (0, -signal.SIGTERM)  # uvicorn ends by the signal that it was sent
        senders.service.start()


def test_while_the_database_is_away_the_service_says_so_lives_and_recovers(
    running: tuple[Service, str], postgres: Postgres, tmp_path: Path
) -> None:
    service, key = running
    with app_on(tmp_path / "project", postgres.conninfo) as app:
        (user,) = people(app)
    event, question = {"user": user, "metric": "calls", "value": 1}, {"user": user, "metric": "calls"}
    asked = [("POST", USAGE, event), ("GET", f"{USAGE}?user={user}", None), ("POST", CHECK, question)]
    with service.client(key) as client:
        assert [client.ask(*one).status for one in asked] == [200] * 3
        postgres.end(signal.SIGQUIT)
        for _ in range(2):
            for one in asked:
                answer = client.ask(*one)
                assert (answer.status, answer.code) == (503, "database_unavailable"), answer
                assert int(answer.headers["retry-after"]) > 0
                assert answer.json["error"]["hint"][0] == "nself db status"
        assert client.get("/health").status == 200
        postgres.start()
        for one in asked:
            until(lambda one=one: answers(client, one))


def answers(client: Client, asked: tuple[str, str, object]) -> bool:
    """Whether it is answered with 200; a connection that lay idle may have been closed."""
    with suppress(OSError, HTTPException):
        return client.ask(*asked).status == 200
    return False


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_many_faults_one_after_another_lose_and_double_nothing(senders: Senders, postgres: Postgres, seed: int) -> None:
    with senders.at_work():
        for turn in range(6):
            match (turn + seed) % 3:
                case 0:
                    postgres.end(signal.SIGKILL)
                    postgres.start()
                case 1:
                    senders.service.kill()
                    senders.service.start()
                case _:
                    postgres.end(signal.SIGQUIT)
                    senders.service.kill()
                    postgres.start()
                    senders.service.start()
            senders.progress(10)
