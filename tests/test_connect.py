"""Connections that are lost, busy or refused are told for what they are."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from nself.core.clock import monotonic
from nself.db.connect import Database, DatabaseUnavailable, Tx, in_transaction, outside_transaction

KILL = b"select pg_terminate_backend(pg_backend_pid())"
ONE = b"select 1"


@pytest.fixture
def db(database: str) -> Database:
    return Database(database, size=1, wait=5)


def test_a_connection_killed_in_a_reading_is_unavailable(db: Database) -> None:
    with pytest.raises(DatabaseUnavailable), db.reading() as tx:
        tx.value(KILL)
    with db.reading() as tx:
        assert tx.value(ONE) == 1
    db.close()


def test_a_transaction_whose_connection_is_killed_is_run_again(db: Database) -> None:
    seen: list[int] = []

    def work(tx: Tx) -> int:
        seen.append(1)
        return int(tx.value(KILL if len(seen) == 1 else ONE))

    assert db.transact(work) == 1
    assert len(seen) == 2
    db.close()


def test_a_statement_alone_whose_connection_is_killed_is_run_again_and_is_a_transaction(db: Database) -> None:
    seen: list[int] = []

    def work(tx: Tx) -> str:
        seen.append(1)
        if len(seen) == 1:
            tx.value(KILL)
        return tx.connection.info.transaction_status.name

    assert db.transact(work, alone=True) == "IDLE"
    assert len(seen) == 2
    db.close()


def test_a_connection_that_ended_while_it_rested_is_not_handed_out(
    db: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[int] = []
    check = ConnectionPool.check_connection
    monkeypatch.setattr(ConnectionPool, "check_connection", lambda one: (checks.append(1), check(one)))
    for _ in range(3):
        with db.reading() as tx:
            pid = tx.connection.info.backend_pid
    assert not checks
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s, 10000)", (pid,))
    with db.reading() as tx:
        assert tx.connection.info.backend_pid != pid
    assert checks == [1]
    db.close()


def test_an_error_of_the_statement_itself_is_not_tried_again(db: Database) -> None:
    seen: list[int] = []

    def work(tx: Tx) -> None:
        seen.append(1)
        tx.value(b"select 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        db.transact(work)
    assert len(seen) == 1
    db.close()


def test_a_server_that_is_away_is_told_soon_and_revived_once(tmp_path: Path) -> None:
    revived: list[int] = []
    db = Database(f"host={tmp_path} dbname=nself user=nself", wait=60, revive=lambda: revived.append(1))
    began = monotonic()
    with pytest.raises(DatabaseUnavailable, match="No such file"), db.reading():
        pass
    assert revived == [1]
    assert monotonic() - began < 30
    db.close()


def test_who_finds_all_connections_busy_waits_for_one(db: Database) -> None:
    taken, give_back = threading.Event(), threading.Event()

    def hold() -> None:
        with db.reading():
            taken.set()
            give_back.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(30)
    threading.Timer(1.5, give_back.set).start()
    with db.reading() as tx:
        assert tx.value(ONE) == 1
    thread.join()
    db.close()


def test_stripe_is_not_called_inside_a_transaction(db: Database) -> None:
    outside_transaction()
    with db.transaction():
        assert in_transaction.get()
        with pytest.raises(AssertionError, match="inside a database transaction"):
            outside_transaction()
    outside_transaction()
    db.close()


ARRAYS: list[tuple[str, list[object]]] = [
    ("text", ["plain", 'a "quote"', "a \\ and, {a} NULL", "", "NULL", "ü"]),
    ("text", ["first", None, 'a "quote"']),
    ("text", [None, "\\"]),
    ("text", []),
    ("bigint", [1, -2, 10**18]),
    ("bigint", [None, 1]),
    ("timestamptz", [datetime(2026, 1, 2, 3, 4, 5, 6, UTC), None]),
]


@pytest.mark.parametrize(("kind", "values"), ARRAYS)
def test_a_list_arrives_as_it_was(db: Database, kind: str, values: list[object]) -> None:
    with db.reading() as tx:
        assert tx.value(f"select %(given)s::{kind}[]".encode(), given=values) == values
    db.close()


def test_a_text_that_holds_a_nul_is_refused_and_moves_no_other(db: Database) -> None:
    with db.reading() as tx, pytest.raises(psycopg.DataError):
        tx.value(b"select %(given)s::text[]", given=["a\0b", "c"])
    db.close()
