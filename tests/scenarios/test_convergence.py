"""Whatever is lost, doubled, delayed, reordered, half-processed or changed by hand, the mirror ends up as Stripe is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from convergence import History, Stand
from histories import FRESH, HISTORIES, TOUR
from hypothesis import HealthCheck, Phase, example, given, note, seed, settings
from money_bench import Bench, sandbox_in_thread
from psycopg_pool.base import AttemptWithBackoff
from seeds import seed_of_this_run

from nself.domains.connection.service import intents
from nself.domains.sync.service import run as run_of_sync
from nself.domains.webhook.service import process
from nself.gateway import retry
from nself.gateway.kinds import KINDS


@pytest.fixture
def stand(tmp_path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """One object at a time, so that a history goes the same way each time it is lived; nobody rests before trying again."""
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 0.001)
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(process, "THREADS", 1)
    monkeypatch.setattr(run_of_sync, "PATIENCE", 0.0)
    monkeypatch.setattr(run_of_sync, "LONGEST_PAUSE", 0.001)
    monkeypatch.setattr(intents, "THREADS", 1)
    folder = tmp_path / "project"
    folder.mkdir()
    with sandbox_in_thread() as sandbox:
        bench = Bench(folder, database, sandbox)
        yield Stand(bench)
        bench.close()


def run(stand: Stand, histories: int, number: int | None) -> None:
    """Fails with the smallest history that fails."""

    @settings(
        max_examples=histories, deadline=None, suppress_health_check=list(HealthCheck), derandomize=number is None,
        database=None, print_blob=True, phases=[Phase.explicit, Phase.generate, Phase.shrink], report_multiple_bugs=False,
    )  # fmt: skip
    @given(HISTORIES)
    def live(history: History) -> None:
        note(repr(history))  # hypothesis itself prints nothing of it
        stand.live(history)

    (example(FRESH)(example(TOUR)(live)) if number is None else seed(number)(live))()


@pytest.mark.timeout(1500)
def test_a_hundred_histories_end_with_what_stripe_has(stand: Stand):
    run(stand, 100, None)
    check_coverage(stand)


def check_coverage(stand: Stand) -> None:
    """The histories were worth living: all kinds were there, every trouble was met, and every commit and call crashed."""
    spared = [where for where, count in stand.switches[0].crashed.items() if not count]
    assert spared == [], "seams of the worker, the receiver and the synchronisation at which nothing crashed"
    assert {where.partition(" in ")[0] for where in stand.switches[0].crashed} >= {
        "before commit", "after commit", "before fetch", "after fetch", "before page", "after page",
        "before change customers", "after change customers", "after statement",
    }  # fmt: skip
    assert {kind.split()[0] for kind in stand.met} >= {"crash", "cut", "lost", "outage", "sleep"}
    assert KINDS.keys() <= stand.checked.keys()
    assert stand.checked["deleted"]
    assert stand.checked["told"] > 5 * stand.checked["not told"]


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("part", range(25))
def test_a_thousand_histories_end_with_what_stripe_has(stand: Stand, part: int, request: pytest.FixtureRequest):
    run(stand, 40, seed_of_this_run(request, part))
