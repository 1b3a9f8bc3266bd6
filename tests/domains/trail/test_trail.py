"""The audit log names what was changed in it, forks under no concurrency, and loses nothing while the database is away."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from nself.app import App
from nself.cli import main
from nself.config import find_project
from nself.core.errors import InvalidParameter
from nself.domains.backup.inputs import RestoreDatabase
from nself.domains.payment.inputs import CreatePaymentMethod
from nself.domains.setting.inputs import SetSettings
from nself.domains.trail import rules, service
from nself.domains.trail.inputs import ShowLog
from nself.domains.trail.model import AuditLogBroken, AuditLogNotWritten, Chained, Deed, Entry, Head, Verified
from nself.registry import Registry

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)


def log(app: App) -> list[Deed]:
    found = service.show_log(app, ShowLog(since="3650d"))
    assert isinstance(found, list)
    return found


def verify(app: App, head: str | None = None) -> Verified:
    found = service.show_log(app, ShowLog(verify=True, head=head))
    assert isinstance(found, Verified)
    return found


def do(app: App, *commands: str) -> None:
    for one in commands:
        with service.deed(app, one, "alice"):
            pass


def tamper(database: str, statement: str) -> None:
    """As somebody who owns the database can."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("set search_path = billing")
        connection.execute("set session_replication_role = replica")
        connection.execute(statement.encode())


def test_a_deed_is_written_before_and_after(app: App) -> None:
    with service.deed(app, "nself billing refund create", "alice"):
        assert [(one.outcome, one.ended_at) for one in log(app)] == [("no end", None)]
    with suppress(InvalidParameter), service.deed(app, "nself billing invoice void", "bob"):
        raise InvalidParameter("no", "invoice")
    found = [(one.command, one.actor, one.outcome, one.at, one.ended_at) for one in log(app)]
    assert found == [
        ("nself billing invoice void", "bob", "failed: parameter_invalid", NOW, NOW),
        ("nself billing refund create", "alice", "done", NOW, NOW),
    ]
    assert verify(app).entries == 4


def test_it_only_grows(app: App, database: str) -> None:
    do(app, "first")
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in (
            "update billing.billing_audit set actor = 'nobody'",
            "delete from billing.billing_audit",
            "truncate billing.billing_audit",
            "delete from billing.billing_audit_head",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update billing_audit set actor = 'nobody' where number = 3", "entry 3 was changed"),
        ("update billing_audit set at = at + interval '1 us' where number = 6", "entry 6 was changed"),
        ("delete from billing_audit where number in (2, 3)", "entries 2 to 3 were removed"),
        ("delete from billing_audit where number = 6", "entry 6 was removed"),
        ("delete from billing_audit", "entries 1 to 6 were removed"),
        (
            "insert into billing_audit select 7, 'x', phase, at, actor, host, command, outcome, incident, hash, hash"
            " from billing_audit where number = 6",
            "entry 7 was changed; entry 7 was inserted behind the end",
        ),
        (
            "insert into billing_audit select 0, 'x', phase, at, actor, host, command, outcome, incident, hash, hash"
            " from billing_audit where number = 6",
            "entry 0 was inserted",
        ),
    ],
)
def test_what_was_changed_is_named(app: App, database: str, statement: str, said: str) -> None:
    do(app, "first", "second", "third")
    assert verify(app).entries == 6
    tamper(database, statement)
    with pytest.raises(AuditLogBroken, match=said):
        verify(app)


def test_a_hash_made_anew_does_not_fit_the_next_one(app: App, database: str) -> None:
    do(app, "first", "second")
    with app.db.snapshot() as tx:
        row = next(one for one in service.store.chain(tx) if one.number == 2)
    forged = msgspec.structs.replace(row, actor="nobody")
    hash = rules.digest(forged.previous, 2, forged, forged.incident)
    tamper(database, rf"update billing_audit set actor = 'nobody', hash = '\x{hash.hex()}' where number = 2")
    with pytest.raises(AuditLogBroken, match="entry 3 was chained to another one than what is entry 2 now"):
        verify(app)


def test_a_chain_made_anew_as_a_whole_is_told_by_a_hash_that_was_kept(app: App, database: str) -> None:
    do(app, "first", "second")
    kept = verify(app).head
    do(app, "third")
    assert verify(app, kept).entries == 6
    with app.db.snapshot() as tx:
        rows = list(service.store.chain(tx))
    made = list(rules.chain(rules.START, [entry(one, "nobody") for one in rows], ""))
    for one in made:
        tamper(database, rf"update billing_audit set actor = 'nobody', previous = '\x{one.previous.hex()}', hash = '\x{one.hash.hex()}' where number = {one.number}")  # fmt: skip
    tamper(database, rf"update billing_audit_head set hash = '\x{made[-1].hash.hex()}'")
    assert verify(app).entries == 6
    with pytest.raises(AuditLogBroken, match="entry 4 is not the one whose hash was kept"):
        verify(app, kept)


def entry(one: Chained, actor: str) -> Entry:
    values = {name: getattr(one, name) for name in Entry.__struct_fields__}
    return Entry(**{**values, "actor": actor})


def test_many_at_once_make_one_chain(app: App, database: str, registry: Registry) -> None:
    """Each with a database pool of its own, as processes have."""
    others = [App(app.project, registry, environ={"DATABASE_URL": database}, clock=app.clock) for _ in range(4)]
    threads = [
        threading.Thread(target=do, args=(one, *[f"{at} {n}" for n in range(5)])) for at, one in enumerate(others)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for one in others:
        one.close()
    assert verify(app).entries == 40
    assert len(log(app)) == 20
    assert {one.outcome for one in log(app)} == {"done"}


def test_while_the_database_is_away_entries_wait_on_disk(app: App, registry: Registry) -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    away = App(app.project, registry, environ=nowhere, clock=app.clock)
    do(away, "set a key", "set another")
    with app.project.audit.open("ab") as file:
        file.write(b'{"entry": "half')
    do(away, "a third")
    kept = app.project.audit.read_bytes()
    assert app.project.audit.stat().st_mode & 0o777 == 0o600
    do(app, "now")
    assert [one.command for one in log(app)] == ["now", "a third", "set another", "set a key"]
    app.project.audit.write_bytes(kept)  # as a process leaves it that was killed between commit and truncation
    service.chain_waiting(app)
    assert verify(app).entries == 8
    assert app.project.audit.read_bytes() == b""


def test_what_cannot_be_written_down_is_not_done(app: App, registry: Registry) -> None:
    away = App(app.project, registry, environ={"DATABASE_URL": "postgresql://127.0.0.1:1/none"}, clock=app.clock)
    app.ensure_project()
    app.project.audit.mkdir()
    done: list[int] = []
    with pytest.raises(AuditLogNotWritten), service.deed(away, "refund", "alice"):
        done.append(1)
    assert done == []


def test_a_setting_starts_no_database(tmp_path: object, registry: Registry, app: App) -> None:
    alone = App(find_project(str(app.project.root), {}, app.project.root), registry, environ={}, clock=app.clock)
    do(alone, "nself env set")
    assert "db" not in vars(alone)
    assert app.project.audit.stat().st_size


class Given(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    code: Annotated[Annotated[str | None, Meta(extra={"secret": True})], Meta(description="x")] = None
    count: int = 3
    many: list[str] = []


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (Given(name="a b"), "x --name='a b'"),
        (Given(name="a", count=4, many=["b", "c"]), "x --name=a --count=4 --many=b --many=c"),
        (Given(name="a", code="4242"), "x --name=a --code=***"),
        (SetSettings(assignments=["STRIPE_SECRET_KEY=sk_live_abcdefgh", "SMTP_PASSWORD=p", "BILLING_PORT=1"]),
         "x STRIPE_SECRET_KEY=*** SMTP_PASSWORD=*** BILLING_PORT=1"),
        (RestoreDatabase(file="a b.dump", yes=True), "x a b.dump --yes"),
        (CreatePaymentMethod(customer="cus_1", card_number="4242", exp_month="1", exp_year="30", cvc="123"),
         "x --customer=cus_1 --card-number=*** --exp-month=*** --exp-year=*** --cvc=***"),
    ],
)  # fmt: skip
def test_a_command_is_written_down_without_its_secrets(given: msgspec.Struct, wanted: str) -> None:
    assert rules.command_line("x", given).replace("'", "") == wanted.replace("'", "")


ENTRIES = st.lists(
    st.builds(
        Entry, entry=st.uuids().map(str), phase=st.just("done"), at=st.datetimes().map(lambda at: at.replace(tzinfo=NOW.tzinfo)),
        actor=st.text(max_size=5), host=st.text(max_size=5), command=st.text(max_size=20), outcome=st.text(max_size=5),
    ),
    min_size=1, max_size=8,
)  # fmt: skip
DAMAGE: dict[str, Callable[[list[Chained], int], list[Chained]]] = {
    "changed": lambda rows, at: [*rows[:at], msgspec.structs.replace(rows[at], command=rows[at].command + "!"), *rows[at + 1 :]],
    "removed": lambda rows, at: [*rows[:at], *rows[at + 1 :]],
    "inserted": lambda rows, at: [*rows[: at + 1], *rows[at:]],
}  # fmt: skip


@given(entries=ENTRIES, at=st.integers(0, 100), what=st.sampled_from(sorted(DAMAGE)))
def test_any_damage_is_found_where_it_is(entries: list[Entry], at: int, what: str) -> None:
    rows = list(rules.chain(rules.START, entries, ""))
    head = Head(rows[-1].number, rows[-1].hash)
    assert list(rules.broken(rows, head)) == []
    at %= len(rows)
    (found, *_) = rules.broken(DAMAGE[what](rows, at), head)
    assert found == f"entry {at + 1} was {what}"


def test_money_waits_for_the_operator_where_that_is_asked_for(
    app: App, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NSELF_PROJECT", str(app.project.root))
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("STRIPE_REQUIRE_2FA", "true")
    app.ensure_project()
    words = ["billing", "refund", "create", "--charge", "no charge", "--reason", "duplicate"]
    assert main.run(words) == 4
    assert main.run(["billing", "refund", "list"]) == 0
    monkeypatch.setenv("NSELF_CONFIRM", "yes")
    assert main.run(words) != 0
    codes = [one.outcome for one in log(app)]
    assert codes[1] == "failed: operator_not_confirmed"
    assert codes[0] not in ("done", codes[1])
    monkeypatch.delenv("NSELF_CONFIRM")
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.prompt", lambda text, **_: asked.append(text) or text.split()[-4])  # type: ignore[func-returns-value]
    main.run(words)
    assert "Type" in asked[0]
    assert log(app)[0].outcome == codes[0]
