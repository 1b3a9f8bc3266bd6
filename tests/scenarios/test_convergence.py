"""Whatever is lost, doubled, delayed, reordered, half-processed or changed by hand, the mirror ends up as Stripe is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from convergence import History, Stand
from deeds import DEEDS
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from money_bench import Bench, sandbox_in_thread
from seeds import seed_of_this_run

from nself.domains.connection.service import intents
from nself.domains.webhook.service import process
from nself.gateway import retry

HISTORIES = st.builds(History, DEEDS, st.integers(1, 3))


@pytest.fixture
def stand(tmp_path, database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """One object at a time, so that a history goes the same way each time it is lived."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(process, "THREADS", 1)
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
        database=None, print_blob=True, phases=[Phase.generate, Phase.shrink], report_multiple_bugs=False,
    )  # fmt: skip
    @given(HISTORIES)
    def live(history: History) -> None:
        stand.live(history)

    (live if number is None else seed(number)(live))()


def test_a_hundred_histories_end_with_what_stripe_has(stand: Stand):
    import time

    t = time.process_time()
    w = time.time()
    run(stand, 100, None)
    print(time.process_time() - t, time.time() - w)
    print(stand.done, stand.refused, stand.checked, stand.met, sep="\n")
    for s in stand.switches:
        print(*(f"{n} {s.crashed[k]} {k}" for k, n in s.seen.items()), sep="\n")
    assert 0


@pytest.mark.long
@pytest.mark.parametrize("part", range(8))
def test_a_thousand_histories_end_with_what_stripe_has(stand: Stand, part: int, request: pytest.FixtureRequest):
    run(stand, 125, seed_of_this_run(request))
