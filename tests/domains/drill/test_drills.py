"""What is chosen to be rehearsed, and that nothing of a rehearsal is left, however it ended."""

from __future__ import annotations

import os
import re
from typing import Any

import psutil
import pytest

from nself.app import App
from nself.core.errors import InvalidParameter, MissingParameter
from nself.domains.customer import service as customer
from nself.domains.drill import store
from nself.domains.drill.inputs import CheckDrill, RunDrills
from nself.domains.drill.model import NoSuchDrill, NothingPlanted, Prop
from nself.domains.drill.service import dashboard, rehearse
from nself.domains.drill.service.bench import Bench
from nself.domains.drill.service.plants import DRILLS
from nself.domains.operator import service as operator
from nself.domains.operator.inputs import AddOperator, ListOperators
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record


def chosen(**given: Any) -> list[tuple[str, ...]]:
    groups = rehearse._groups(RunDrills(**given))  # pyright: ignore[reportPrivateUsage]
    return [tuple(one.cause for one in group) for group in groups]


def test_the_parts_are_all_of_them_and_none_twice() -> None:
    parts = [one for at in range(1, 7) for one in chosen(all=True, part=f"{at}/6")]
    assert sorted(parts) == sorted((id,) for id in DRILLS)


def test_pairs_are_of_two_that_can_be_seen_together_and_the_same_for_a_seed() -> None:
    pairs = chosen(pairs=200, seed=4)
    assert len(pairs) == 200 and pairs == chosen(pairs=200, seed=4) != chosen(pairs=200, seed=5)
    assert all(one != other and not DRILLS[one].blinds and not DRILLS[other].blinds for one, other in pairs)


@pytest.mark.parametrize(
    "one, other",
    [("7.2.1", "4.3.3"), ("7.2.2", "3.1.3"), ("3.3.2", "3.4.1"), ("3.4.4", "3.3.3"), ("3.2.4", "4.2.1")],
)
def test_two_that_mend_or_hide_each_other_are_not_paired(one: str, other: str) -> None:
    assert not DRILLS[one].together(DRILLS[other]) and not DRILLS[other].together(DRILLS[one])
    assert DRILLS[one].together(DRILLS["8.1.2"]) and (one, other) not in chosen(pairs=10_000)


def test_two_that_are_named_are_two_at_once() -> None:
    assert chosen(cause="6.2.1+5.3.3") == [("6.2.1", "5.3.3")]
    for cause in ("6.2.1+9.9.9", "6.2.1+"):
        with pytest.raises(NoSuchDrill, match=re.escape(f"No rehearsal of {cause}")):
            chosen(cause=cause)


@pytest.mark.parametrize(
    "given, error",
    [
        ({}, MissingParameter),
        ({"cause": "9.9.9"}, NoSuchDrill),
        ({"issue": "9.9"}, NoSuchDrill),
        ({"all": True, "part": "13/12"}, InvalidParameter),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        chosen(**given)


def test_there_is_nothing_to_check_before_something_is_planted(app: App) -> None:
    with pytest.raises(NothingPlanted):
        rehearse.check_drill(app, CheckDrill())


def test_what_hands_changed_about_tables_is_undone_however_often(app: App) -> None:
    """As a rehearsal leaves it that is killed in the middle."""
    customer.create_users(app, {"user123": None})
    record.ingest(app, [UsageEvent(user="user123", metric="api_calls", value=1, key="1")], "test")
    triggers = b"select array_agg(tgname order by tgname) from pg_trigger where not tgisinternal"
    indexes = b"select array_agg(indexrelid::regclass::text order by indexrelid::regclass::text) from pg_index where indisvalid"
    with app.db.transaction() as tx:
        before = tx.value(triggers), tx.value(indexes)
    damages = (
        lambda tx: store.slow_insert(tx, slow=True), store.slow_rollups, store.slow_subscriptions,
        lambda tx: store.refuse(tx, "subscription"), lambda tx: store.refuse(tx, "customer"), lambda tx: store.rule_mail(tx, rule=True), lambda tx: store.move_counters(tx, away=True), store.drop_customer_index,
        store.begin_index, lambda tx: store.leave_usage_alone(tx, alone=True),
    )  # fmt: skip
    for damage in damages:
        app.db.transact(damage)
    for name in (dashboard.NAME, "ada"):
        operator.add(app, AddOperator(name=name, role="owner"))
    with app.db.transaction() as tx:
        assert (tx.value(triggers), tx.value(indexes)) != before
    for _ in range(2):
        app.db.transact(store.undo)
    with app.db.transaction() as tx:
        assert (tx.value(triggers), tx.value(indexes)) == before
        assert not tx.value(b"select count(*) from pg_class where reloptions::text like '%%autovacuum_enabled=false%%'")
        assert not tx.value(b"select count(*) from pg_constraint where conname = 'company_mail'")
    assert [one.name for one in operator.list_operators(app, ListOperators())] == ["ada"]


def test_files_and_props_are_noted(app: App) -> None:
    app.ensure_project()
    bench = Bench(app, "1.1.1")
    bench.write("services/billing/config/new.yml", "a: 1")
    bench.append(".env", "X=1")
    assert bench.prop("reset").isdigit()
    known = store.planted(app.project)
    assert known and known.files["services/billing/config/new.yml"] is None and "X=1" not in str(known.files[".env"])
    (prop,) = known.props
    bench.end_props()
    assert not psutil.pid_exists(prop.pid)


def test_what_ends_for_one_of_two_stays_noted_of_the_other(app: App) -> None:
    """Else its file would be left for ever, and its prop would end before its time."""
    app.ensure_project()
    first = Bench(app, "1.1.1")
    first.append(".env", "X=1")
    first.prop("reset")
    second = Bench(app, "9.2.3", first)
    second.write("services/billing/data/seeds/customers.yml", "a: 1")
    second.prop("reset")
    first.end_props()
    known = store.planted(app.project)
    assert known and set(known.files) == {".env", "services/billing/data/seeds/customers.yml"}
    (prop,) = known.props
    assert psutil.pid_exists(prop.pid)
    second.end_props()
    assert not psutil.pid_exists(prop.pid)


def test_a_prop_that_nobody_noted_ends_by_itself(app: App) -> None:
    app.ensure_project()
    prop, _ = store.start_prop(app.project, "reset")
    psutil.Process(prop.pid).wait(60)


def test_only_the_process_that_was_noted_is_ended() -> None:
    """Ids are used again: the moment of birth has to fit. Else this test would not end well."""
    store.end_prop(Prop(pid=os.getpid(), born=0.0))
