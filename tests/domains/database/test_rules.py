"""Splitting and judging SQL without a server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.core.errors import BillingError, InvalidParameter
from nself.domains.database import rules
from nself.domains.database.model import ConfirmationNeeded, StatementRefused, TruncateRefused, WriteNeeded


def judge(sql: str, *, write: bool = False, live: bool = False, confirmed: bool = False) -> bool:
    return rules.writes(rules.split(sql), write=write, live=live, confirmed=confirmed)


@pytest.mark.parametrize(
    ("sql", "texts"),
    [
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        (";;\n select 1 ;\n ; select 2 ", ["select 1", "select 2"]),
        ("select ';' ; select 2", ["select ';'", "select 2"]),
        ("select 'it''s;' ; select 2", ["select 'it''s;'", "select 2"]),
        ("select e'\\';' ; select 2", ["select e'\\';'", "select 2"]),
        ('select ";" ; select 2', ['select ";"', "select 2"]),
        ("select $$;$$ ; select $a$;$$;$a$", ["select $$;$$", "select $a$;$$;$a$"]),
        ("select 1 -- ; select 2\n; select 3", ["select 1 -- ; select 2", "select 3"]),
        ("select /* ; /* ; */ ; */ 1; select 2", ["select /* ; /* ; */ ; */ 1", "select 2"]),
        ("select $1, a$b$c from t; select 2", ["select $1, a$b$c from t", "select 2"]),
        ("select 'never closed ; select 2", ["select 'never closed", "select 2"]),
    ],
)
def test_split(sql: str, texts: list[str]) -> None:
    assert [statement.text for statement in rules.split(sql)] == texts


@given(st.text(st.sampled_from(list("a;'\"$-/*()e\\ \n\0é")), max_size=40))
def test_split_takes_any_text_apart_and_loses_nothing(sql: str) -> None:
    try:
        statements = rules.split(sql)
    except InvalidParameter:
        return
    for statement in statements:
        assert sql[statement.start :].startswith(statement.text)
    assert len(statements) <= sql.count(";") + 1


@pytest.mark.parametrize("sql", ["", "  ", ";", "-- nothing\n", "/* nothing"])
def test_no_statement(sql: str) -> None:
    with pytest.raises(InvalidParameter, match="No SQL statement"):
        rules.split(sql)


@pytest.mark.parametrize(
    ("sql", "write", "live", "writable"),
    [
        ("select 1", False, False, False),
        ("  (select 1) union select 2", False, True, False),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False, False, False),
        ("values (1); show work_mem; explain select 1; table auth.users", False, True, False),
        ("update t set a = 1 where b = 2", False, False, True),
        ("CREATE INDEX i ON t(a); CREATE UNIQUE INDEX j ON t(a)", False, False, True),
        ("insert into t values (1)", False, False, True),
        ("insert into t values (1) on conflict do update set a = 1", False, False, True),
        ("merge into t using s on t.a = s.a when matched then delete", False, False, True),
        ("select * from t for update", True, False, True),
        ("alter table t add column b int", True, False, True),
        ("create table t (a int)", True, False, True),
    ],
)
def test_what_may_write(sql: str, write: bool, live: bool, writable: bool) -> None:
    assert judge(sql, write=write, live=live) is writable


def test_live_mode_writes_with_a_reason_only() -> None:
    update = "update t set a = 1 where b = 2"
    with pytest.raises(WriteNeeded, match="UPDATE"):
        judge(update, live=True)
    with pytest.raises(ConfirmationNeeded, match="--confirm and --reason"):
        judge(update, live=True, write=True)
    assert judge(update, live=True, write=True, confirmed=True)
    with pytest.raises(StatementRefused, match="CREATE changes the schema"):
        judge("create index i on t(a)", live=True, write=True, confirmed=True)


REFUSED: list[tuple[str, type[BillingError], str]] = [
    (
        "TRUNCATE TABLE billing_transactions CASCADE",
        TruncateRefused,
        "billing_transactions.*seed clear --confirm",
    ),
    ("truncate only billing.billing_usage, x", TruncateRefused, "billing.billing_usage is refused"),
    ("select 1; truncate t", TruncateRefused, "seed clear"),
    ("drop table t", StatementRefused, "DROP"),
    ("alter table t drop column a", StatementRefused, "DROP"),
    ("delete from t", StatementRefused, "DELETE without WHERE"),
    ("update t set a = 1", StatementRefused, "UPDATE without WHERE"),
    ("update t set a = (select b from s where c = 1)", StatementRefused, "UPDATE without WHERE"),
    ("delete from t -- where a = 1", StatementRefused, "DELETE without WHERE"),
    ("delete from t returning 'where'", StatementRefused, "DELETE without WHERE"),
    ('delete from t returning "where"', StatementRefused, "DELETE without WHERE"),
    (
        "with d as (delete from t returning *) select * from d where a = 1",
        StatementRefused,
        "DELETE without WHERE",
    ),
    ("explain analyze update t set a = 1", StatementRefused, "UPDATE without WHERE"),
    (
        "merge into t using s on true when matched then update set a = 1; delete from t",
        StatementRefused,
        "DELETE",
    ),
    ("do $$ begin delete from t; end $$", StatementRefused, "does not run DO"),
    ("call p()", StatementRefused, "does not run CALL"),
    ("copy t to program 'sh'", StatementRefused, "does not run COPY"),
    ("commit; delete from t where true", StatementRefused, "does not run COMMIT"),
    ("set transaction read write", StatementRefused, "does not run SET"),
    ("grant all on t to public", StatementRefused, "does not run GRANT"),
    ("vacuum t", StatementRefused, "does not run VACUUM"),
    ("'no keyword'", StatementRefused, "does not run this"),
]


@pytest.mark.parametrize(("sql", "error", "words"), REFUSED)
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("write", [False, True])
def test_never_runs(sql: str, error: type[BillingError], words: str, live: bool, write: bool) -> None:
    with pytest.raises(error, match=words) as caught:
        judge(sql, write=write, live=live, confirmed=True)
    assert caught.value.exit_code == 4


def test_definitions_other_than_indexes_need_the_flag() -> None:
    with pytest.raises(WriteNeeded, match="CREATE"):
        judge("create table t (a int)")


def test_point_marks_the_place() -> None:
    sql = "select 1,\n\tnope from t"
    assert rules.point(sql, sql.index("nope")) == " (line 2, column 2)\n   nope from t\n   ^"
    assert rules.point(sql, 999).startswith(" (line 2, column 13)")


def test_distinct_names() -> None:
    assert rules.distinct(["a", "b", "a", "a_2", "a"]) == ["a", "b", "a_2", "a_2_2", "a_3"]


@pytest.mark.parametrize(
    ("detail", "help"),
    [
        ('FATAL:  password authentication failed for user "x"', "nself env set DATABASE_URL --stdin"),
        ('FATAL:  database "x" does not exist', "nself env set DATABASE_URL --stdin"),
        ("FATAL:  sorry, too many clients already", "nself env set BILLING_DB_POOL_SIZE=5"),
        ("FATAL:  the database system is starting up", "nself db ping"),
        ("something else", "nself env get DATABASE_URL"),
    ],
)
def test_cause(detail: str, help: str) -> None:
    assert rules.cause(detail)[1] == help
