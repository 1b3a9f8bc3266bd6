"""Root causes of seeds that are not there: each is told apart from its neighbours."""

from __future__ import annotations

import pytest
from money_bench import Bench

from nself.app import App
from nself.core.errors import BillingError
from nself.diagnosis import Look
from nself.domains.seed.inputs import ClearSeeds, CreateTestData, RunSeeds, ShowSeeds
from nself.domains.seed.service import clear, run, show
from nself.domains.seed.service.causes import CAUSES

FILE = "- {key: dora, email: dora@seed.example.com}\n"


@pytest.fixture
def app(bench: Bench) -> App:
    return bench.app()


def ask(app: App) -> None:
    app.project.seeds.mkdir(parents=True)
    (app.project.seeds / "customers.yml").write_text(FILE)


def found(app: App) -> list[str]:
    look = Look(app)
    return [one.id for one in CAUSES if one.detect(look)]


def test_who_asks_for_nothing_misses_nothing(app: App) -> None:
    assert found(app) == []
    assert not app.project.seeds.exists(), "looking writes no default files"


def test_asked_for_and_made(app: App) -> None:
    ask(app)
    assert found(app) == ["9.2.1"]
    run.run(app, RunSeeds())
    assert found(app) == []


def test_who_took_them_away_misses_nothing(app: App) -> None:
    ask(app)
    run.run(app, RunSeeds())
    clear.clear(app, ClearSeeds(confirm=True))
    assert found(app) == []
    run.test_data(app, CreateTestData(seed=1, customers=1, subscriptions=0, invoices=0))
    assert found(app) == []
    run.run(app, RunSeeds())
    (app.project.seeds / "customers.yml").write_text(FILE + FILE.replace("dora", "ella"))
    assert found(app) == ["9.2.1"]


def test_the_examples_that_a_command_wrote_ask_for_nothing(app: App) -> None:
    """As a reset of the sandbox leaves them."""
    show.status(app, ShowSeeds())
    assert any(app.project.seeds.iterdir()) and found(app) == []


def test_asked_for_in_live_mode(bench: Bench, app: App) -> None:
    ask(app)
    live = bench.app(STRIPE_MODE="live")
    assert found(live) == []
    with pytest.raises(BillingError):
        run.run(live, RunSeeds())
    assert found(live) == ["9.2.2"]
    run.run(app, RunSeeds())
    assert found(app) == []


def test_a_constraint_of_the_database(bench: Bench, app: App) -> None:
    ask(app)
    bench.sql("alter table auth.users add constraint company_mail check (email not like '%%@seed.example.com')")
    with pytest.raises(BillingError, match="constraints"):
        run.run(app, RunSeeds())
    assert found(app) == ["9.2.3"]
    bench.sql("alter table auth.users drop constraint company_mail")
    run.run(app, RunSeeds())
    assert found(app) == []
