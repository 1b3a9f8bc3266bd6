"""Seeds at the sandbox through the official SDK: made once, compared, taken away; whatever is wrong is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from money_bench import KEY, Bench

from nself import log
from nself.app import App
from nself.cli import render
from nself.core.errors import BillingError, Denied
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import ListCustomers
from nself.domains.seed import rules
from nself.domains.seed.inputs import ClearSeeds, CreateTestData, RunSeeds, ShowSeeds
from nself.domains.seed.model import BadSeeds, Cleared, ConstraintFails, DuplicateData, SeedFailed, SeedStatus
from nself.domains.seed.service import clear, read, run, show
from nself.domains.subscription.inputs import ListSubscriptions
from nself.domains.subscription.service import show as subscriptions


def seed(app: App) -> dict[str, tuple[int, int]]:
    """Kind -> made, standing."""
    return {one.kind: (one.made, one.standing) for one in run.run(app, RunSeeds())}


def status(app: App) -> SeedStatus:
    return show.status(app, ShowSeeds())


def cleared(app: App) -> Cleared:
    return clear.clear(app, ClearSeeds(confirm=True))


def seeded(bench: Bench, kind: str, **params: Any) -> list[dict[str, Any]]:
    return [one for one in bench.sandbox.get(f"/v1/{kind}", limit=100, **params) if "nself_seed" in one["metadata"]]


def books(bench: Bench) -> dict[str, list[tuple[Any, ...]]]:
    """What Stripe has of seeds."""
    return {
        "customers": sorted((one["metadata"]["nself_seed"], one["email"]) for one in seeded(bench, "customers")),
        "subscriptions": sorted(
            (one["metadata"]["nself_seed"], one["status"]) for one in seeded(bench, "subscriptions")
        ),
        "invoices": sorted(
            (one["metadata"]["nself_seed"], one["status"], one["total"]) for one in seeded(bench, "invoices")
        ),
    }


def write(app: App, name: str, content: object) -> None:
    folder = app.project.seeds
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


WHOLE = {
    "customers": [("alice", "alice@seed.example.com"), ("bob", "bob@seed.example.com"), ("carol", "carol@seed.example.com")],
    "subscriptions": [("alice-pro", "active"), ("bob-starter", "trialing")],
    "invoices": [("alice-setup", "paid", 5000), ("bob-training", "open", 12000), ("carol-draft", "draft", 2500)],
}  # fmt: skip


def test_seeds_are_made_once_and_taken_away(bench: Bench) -> None:
    app = bench.app()
    before = status(app)
    assert before.last_run == "never"
    assert before.causes == [
        "seed script not run: 3 of 3 customers, 2 of 2 subscriptions, 3 of 3 invoices are missing - nself billing seed run"
    ]
    assert sorted(path.name for path in app.project.seeds.iterdir()) == sorted(rules.DEFAULTS)
    assert seed(app) == {"customers": (3, 0), "subscriptions": (2, 0), "invoices": (3, 0)}
    assert books(bench) == WHOLE
    done = status(app)
    assert done.causes == [] and done.last_run == "seed run at 2026-02-10T12:00:00Z, 0 errors"
    assert [(one.there, one.missing, one.differing, one.others) for one in done.kinds] == [
        (3, 0, 0, 0), (2, 0, 0, 0), (3, 0, 0, 0),
    ]  # fmt: skip
    calls = len(bench.intents())
    again = run.run(app, RunSeeds())
    assert {one.kind: (one.made, one.standing) for one in again} == {
        "customers": (0, 3), "subscriptions": (0, 2), "invoices": (0, 3),
    }  # fmt: skip
    assert again.notes == ["nothing changed: everything stands already"] and len(bench.intents()) == calls
    bench.create(app, "mine")  # not seeded: it stays

    with pytest.raises(Denied, match="This would delete 3 customers, 2 subscriptions, 1 drafts, void 1 invoices"):
        clear.clear(app, ClearSeeds())
    assert books(bench) == WHOLE
    gone = cleared(app)
    assert (gone.customers, gone.subscriptions, gone.drafts_deleted, gone.invoices_voided) == (3, 2, 1, 1)
    assert any("paid invoices" in one for one in gone.kept)
    assert [one["email"] for one in bench.sandbox.get("/v1/customers", limit=100)] == ["mine@example.com"]
    assert [one.user for one in customer.list_customers(app, ListCustomers())] == ["mine"]
    assert {one["status"] for one in seeded(bench, "invoices")} == {"paid", "void"}
    assert seed(app) == {"customers": (3, 0), "subscriptions": (2, 0), "invoices": (3, 0)}
    assert (cleared(app).customers, cleared(app).customers) == (3, 0)


def test_single_kinds_bring_the_customers_they_need(bench: Bench) -> None:
    app = bench.app()
    run.subscriptions(app, RunSeeds())
    assert [one[0] for one in books(bench)["customers"]] == ["alice", "bob"] and not books(bench)["invoices"]
    run.invoices(app, RunSeeds())
    run.customers(app, RunSeeds())
    assert books(bench) == WHOLE


def test_what_differs_is_named_and_left(bench: Bench) -> None:
    app = bench.app()
    seed(app)
    (bob,) = bench.sandbox.customers("bob@seed.example.com")
    bench.sandbox.edit("customer", bob["id"], delete=True)  # by hand, and no event came
    text = (app.project.seeds / "customers.yml").read_text()
    write(app, "customers.yml", text.replace("Alice Example", "Alice Other"))
    found = status(app)
    assert found.differences and "the file was changed since it was made" in found.differences[0]
    assert found.causes == [
        "seed script not run: 1 of 3 customers, 1 of 2 subscriptions, 1 of 3 invoices are missing - nself billing seed run"
    ]
    again = run.run(app, RunSeeds())
    assert [(one.made, one.differing) for one in again] == [(1, 1), (1, 0), (1, 0)]
    assert "left as it is: customers alice" in again.notes[0]
    assert [one["name"] for one in bench.sandbox.customers("alice@seed.example.com")] == ["Alice Example"]


WRONG = {
    "customers.yml": """\
- key: alice
  email: nobody
  colour: red
- key: bob
  email: bob@example.com
  key: bob
- key: alice2
  user: seed-bob
  email: b@example.com
- {email: x@example.com}
""",
    "subscriptions.json": json.dumps([{"key": "s", "customer": "bob", "plan": "gold"}, {"key": "t", "customer": "zoe", "price": "p"}], indent="\t"),
    "invoices.yml": "- key: i\n  customer: alice2\n  lines:\n    - {description: One, amount: 5}\n    - description: Two\n      amount: 1.5\n",
    "invoices-more.yml": "- key: i\n  customer: [",
    "notes.yml": "[]",
}  # fmt: skip


def test_everything_that_is_wrong_with_files_is_told_at_once_and_nothing_is_made(bench: Bench) -> None:
    app = bench.app()
    for name, text in WRONG.items():
        write(app, name, text)
    with pytest.raises(BadSeeds) as refused:
        seed(app)
    told = refused.value.message
    for one in (
        "customers.yml line 2: email: Expected `str` matching regex",
        "customers.yml line 3: colour: no such field",
        "customers.yml line 6: key: stands twice",
        "customers.yml line 10: key: is missing",
        "subscriptions.json line 5: plan: Invalid enum value 'gold'",
        "customer: zoe is in no customers file",
        "invoices.yml line 6: lines[1].amount: Expected `int`, got `float`",
        "invoices-more.yml line 2: ",
        "notes.yml: which kind?",
    ):
        assert one in told, told
    assert books(bench) == {"customers": [], "subscriptions": [], "invoices": []}
    assert bench.intents() == []
    causes = status(app).causes
    assert all(any(line.strip() in one for one in causes) for line in told.splitlines()[1:])


def test_entries_that_contradict_each_other() -> None:
    people = [{"key": "a", "email": "a@example.com", "user": "u"}, {"key": "b", "email": "b@example.com", "user": "u"}]
    bill = {"key": "i", "customer": "a", "lines": [{"description": "x", "amount": 5}]}
    _, problems = read.read(
        {
            "customers.json": json.dumps(people),
            "invoices.json": json.dumps([bill, {**bill, "status": "draft"}]),
            "subscriptions.json": json.dumps([{"key": "s", "customer": "a", "plan": "pro"}]),
        }
    )
    assert [one.partition(": ")[2] for one in problems] == [
        "key: duplicate data: invoices i stands already in invoices.json line 1",
        "user: duplicate data: user u stands already in customers.json line 1",
        "price: either price, or plan with amount, is needed",
        "status: paid needs a payment_method of customer a",
    ]


def test_test_mode_not_enabled(bench: Bench) -> None:
    for more in ({"STRIPE_MODE": "live"}, {"STRIPE_SECRET_KEY": "sk_live_of_the_bench"}):
        app = bench.app(**more)
        for act in (
            lambda app=app: run.run(app, RunSeeds()),
            lambda app=app: cleared(app),
            lambda app=app: run.test_data(app, CreateTestData()),
        ):
            with pytest.raises(Denied) as refused:
                act()
            assert refused.value.exit_code == 4
        found = status(app)
        assert any(one.startswith("test mode not enabled: ") for one in found.causes)
    assert bench.intents() == []


def test_database_constraints_failing(bench: Bench) -> None:
    app = bench.app()
    bench.sql("alter table auth.users add column password text not null default ''")
    bench.sql("alter table auth.users alter column password drop default")
    with pytest.raises(ConstraintFails, match=r"auth\.users \(password\)"):
        seed(app)
    assert books(bench)["customers"] == [] and bench.intents() == []
    (cause, _) = status(app).causes
    assert cause.startswith("the last run failed: Database constraints failing: auth.users (password)")


def test_duplicate_data(bench: Bench) -> None:
    app = bench.app()
    bench.create(app, "seed-bob")
    with pytest.raises(DuplicateData, match="user seed-bob has customer cus_"):
        seed(app)
    assert books(bench)["customers"] == []
    assert any("Duplicate data: user seed-bob" in one for one in status(app).causes)


def test_what_stripe_refuses_is_told_and_done_later(bench: Bench) -> None:
    app = bench.app()
    write(app, "customers.yml", "- {key: a, email: a@example.com, payment_method: pm_card_visa_chargeDeclined}\n")
    write(app, "invoices.yml", "- {key: i, customer: a, status: open, lines: [{description: x, amount: 500}]}\n")
    with pytest.raises(SeedFailed, match="customers a: Your card was declined"):
        seed(app)
    assert "the last run failed: 2 of 2 could not be made" in status(app).causes[0]
    write(app, "customers.yml", "- {key: a, email: a@example.com, payment_method: pm_card_visa}\n")
    assert seed(app) == {"customers": (1, 0), "invoices": (1, 0)}


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def fail_at(monkeypatch: pytest.MonkeyPatch, app: App, number: int) -> Callable[[], int]:
    """The process ends before or after its nth call to Stripe."""
    calls, real = [0], app.stripe.change

    def change(*path: str, **given: Any) -> Any:
        calls[0] += 1
        if 2 * calls[0] == number:
            raise Killed
        made = real(*path, **given)
        if 2 * calls[0] + 1 == number:
            raise Killed
        return made

    monkeypatch.setattr(app.stripe, "change", change)
    return lambda: calls[0]


def test_a_run_that_is_killed_anywhere_is_gone_on_with(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time another number of calls gets through, until one run comes to its end."""
    from nself.domains.connection.service import intents

    monkeypatch.setattr(intents, "THREADS", 1)
    kills = 0
    for number in random.Random(4).sample(range(2, 12), 8):
        app = bench.app()
        fail_at(monkeypatch, app, number)
        try:
            seed(app)
        except Killed:
            kills += 1
            bench.pass_time(60)
    assert kills > 3
    seed(bench.app())
    assert books(bench) == WHOLE
    assert len(bench.sandbox.get("/v1/prices", limit=100)) == 2
    cleared(bench.app())
    assert bench.sandbox.get("/v1/customers", limit=100) == []


def test_clear_ends_what_a_killed_run_began(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = bench.app()
    fail_at(monkeypatch, app, 7)
    with pytest.raises(Killed):
        seed(app)
    assert "it runs, or it was killed" in status(bench.app()).last_run
    bench.pass_time(60)
    cleared(bench.app())
    bench.pass_time(60)
    bench.work(bench.app())
    assert books(bench)["customers"] == []


def test_test_data_is_the_same_for_the_same_seed(bench: Bench) -> None:
    app = bench.app()
    given = CreateTestData(customers=4, subscriptions=3, invoices=5, seed=7)
    done = run.test_data(app, given)
    assert {one.kind: one.made for one in done} == {"customers": 4, "subscriptions": 3, "invoices": 5}
    owners = {one["id"] for one in seeded(bench, "customers")}
    assert {one["customer"] for kind in ("subscriptions", "invoices") for one in seeded(bench, kind)} <= owners
    first = books(bench)
    assert "nothing changed" in run.test_data(app, given).notes[0] and books(bench) == first
    assert rules.test_data(7, 4, 3, 5) == rules.test_data(7, 4, 3, 5) != rules.test_data(8, 4, 3, 5)
    drawn = run.test_data(app, CreateTestData(customers=1, subscriptions=0, invoices=0))
    assert "--seed" in drawn.notes[-1] and len(seeded(bench, "customers")) == 5
    assert status(app).kinds[0].others == 5
    assert cleared(app).customers == 5
    assert bench.sandbox.get("/v1/customers", limit=100) == []


def test_lists_of_test_mode_say_what_they_hide(bench: Bench) -> None:
    app = bench.app()
    seed(app)
    bench.sql("update billing_customers set livemode = true where email = 'alice@seed.example.com'")
    bench.sql("update billing_subscriptions set livemode = true where status = 'trialing'")
    live = bench.app(STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_of_the_bench")
    for one in (app, live):
        people = customer.list_customers(one, ListCustomers(test_mode=True))
        assert sorted(str(one.user) for one in people) == ["seed-bob", "seed-carol"]
        assert render.remarks(people) == ["1 customers of live mode are not shown"]
        found = subscriptions.list_subscriptions(one, ListSubscriptions(test_mode=True))
        assert [one.status for one in found] == ["active"]
        assert render.remarks(found) == ["1 subscriptions of live mode are not shown"]
    assert [one.user for one in customer.list_customers(live, ListCustomers())] == ["seed-alice"]


def test_the_log_says_seed_with_its_cause(bench: Bench, tmp_path: Any) -> None:
    app = bench.app()
    log.configure("cli", "info", tmp_path / "logs")
    try:
        write(app, "customers.yml", "- {key: a}\n")
        with pytest.raises(BillingError):
            seed(app)
    finally:
        log.close()
    lines = [json.loads(line) for line in (tmp_path / "logs" / "cli.log").read_text().splitlines()]
    (failed,) = (line for line in lines if line["message"] == "seed" and line.get("state") == "failed")
    assert failed["code"] == "seed_file_invalid" and "customers.yml line 1: email: is missing" in failed["error"]
    assert KEY not in str(lines)
