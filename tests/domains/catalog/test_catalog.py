"""The project's files of metrics and prices: created when first needed, read again when changed, refused with the place."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from nself.app import App
from nself.config import find_project
from nself.domains.catalog import rules, service, store
from nself.domains.catalog.inputs import ListMetrics
from nself.domains.catalog.model import BrokenCatalog, MetricFile, Tier
from nself.registry import Registry


@pytest.fixture
def app(tmp_path: Path) -> App:
    """The catalog needs no database."""
    return App(find_project(str(tmp_path), {}, tmp_path), Registry(("catalog",)), environ={})


def write(app: App, name: str, text: str) -> Path:
    path = app.project.config / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_defaults_are_written_once_and_kept(app: App) -> None:
    assert list(service.metered(app)) == ["api_calls", "storage", "bandwidth", "compute", "database", "functions"]
    (bandwidth,) = service.overage_prices(app)["bandwidth"]
    assert (bandwidth.model, bandwidth.currency, bandwidth.start) == ("flat", "usd", None)
    assert bandwidth.tiers == [Tier(amount=Decimal("0.05"), per=1 << 30)]
    path = app.project.config / "usage-metrics.yml"
    assert path.read_text() == rules.DEFAULT_METRICS
    assert "unique" in rules.DEFAULT_METRICS and "time_weighted" in rules.DEFAULT_METRICS
    assert [one.name for one in sorted(path.parent.iterdir())] == ["overage-tiers.yml", "usage-metrics.yml"]
    path.write_text("metrics: {mine: {unit: thing}}")
    assert list(service.metered(app)) == ["mine"]
    assert path.read_text() == "metrics: {mine: {unit: thing}}"


def test_the_default_prices_are_those_of_the_metrics_that_are_there(app: App) -> None:
    write(app, "usage-metrics.yml", "metrics: {api_calls: {unit: request}, seats: {unit: person}}")
    assert list(service.overage_prices(app)) == ["api_calls"]
    written = (app.project.config / "overage-tiers.yml").read_text()
    assert "# What usage above the quota costs" in written and "storage" not in written


def test_without_a_known_metric_there_is_no_default_price(app: App) -> None:
    write(app, "usage-metrics.yml", "metrics: {seats: {unit: person}}")
    assert service.overage_prices(app) == {}


def test_nobody_reads_half_a_file_while_another_creates_it(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def read(number: int) -> int:
        found = 0
        for round in range(20):
            barrier.wait(60)
            found += len(
                store.load(tmp_path / str(round) / "usage-metrics.yml", MetricFile, rules.DEFAULT_METRICS).metrics
            )
        return found

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(8))) == [6 * 20] * 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("metrics: [", "expected the node content"),
        ("metrics: {calls: {unit: request, aggregation: mean}}", "Invalid enum value 'mean'"),
        ("metrics: {calls: {}}", "missing required field `unit`"),
        ("metrics: {calls: {unit: request, units: 2}}", "unknown field `units`"),
        ("metrics: {Calls: {unit: request}}", "metric 'Calls': a name is written in lower case"),
        ('metrics: {"a\\tb": {unit: request}}', "a name is written in lower case"),
        (f"metrics: {{{'x' * 64}: {{unit: request}}}}", "at most 63"),
        ("metrics: {1: {unit: request}}", "usage-metrics.yml cannot be used"),
        ("metrics: {calls: [{from: 2026-13-01, unit: request}]}", "month must be in 1..12"),
        ("metrics: " + "[" * 3000, "recursion depth"),
        ("metrics: {calls: {unit: request}, calls: {unit: other}}", "'calls' stands twice"),
        ("metrics: {calls: {unit: request, unit: other}}", "'unit' stands twice"),
    ],
)
def test_a_broken_metric_file_says_where(app: App, text: str, words: str) -> None:
    path = write(app, "usage-metrics.yml", text)
    with pytest.raises(BrokenCatalog) as caught:
        service.metered(app)
    assert words in caught.value.message
    assert str(path) in caught.value.message


def test_a_mapping_may_be_merged(app: App) -> None:
    write(app, "usage-metrics.yml", "metrics: {a: &a {unit: request}, b: {<<: *a}, c: {<<: *a, unit: other}}")
    assert list(service.metered(app)) == ["a", "b", "c"]


def test_a_file_of_other_bytes_and_a_folder_are_refused(app: App) -> None:
    path = write(app, "usage-metrics.yml", "")
    path.write_bytes(b"metrics: \xff")
    with pytest.raises(BrokenCatalog):
        service.metered(app)
    path.unlink()
    path.mkdir()
    with pytest.raises(BrokenCatalog):
        service.metered(app)


def test_a_folder_that_cannot_be_made_is_told_as_such(app: App) -> None:
    (app.project.root / "services").write_text("in the way")
    with pytest.raises(BrokenCatalog, match="Not a directory"):
        service.metered(app)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "overage: {calls: {amount: '1'}}",
            "overage of 'calls': no such metric in usage-metrics.yml (api_calls, storage, ",
        ),
        ("overage: {api_calls: {amount: '-1'}}", "the amount must not be negative"),
        ("overage: {api_calls: {amount: NaN}}", "the amount must not be negative"),
        ("overage: {api_calls: {amount: Infinity}}", "the amount must not be negative"),
        ("overage: {api_calls: {amount: '1', per: 0}}", "per must be 1 or more"),
        ("overage: {api_calls: {amount: '1', currency: USD}}", "three lower case letters"),
        ("overage: {api_calls: {amount: much}}", "overage-tiers.yml cannot be used"),
    ],
)
def test_a_broken_price_file_says_where(app: App, text: str, words: str) -> None:
    write(app, "overage-tiers.yml", text)
    with pytest.raises(BrokenCatalog) as caught:
        service.overage_prices(app)
    assert words in caught.value.message


@pytest.mark.parametrize("written", ["0.0001", "'0.0001'", "1.0e-4", "'1e-4'"])
def test_a_price_is_the_decimal_that_was_written(app: App, written: str) -> None:
    write(app, "overage-tiers.yml", f"overage: {{api_calls: {{amount: {written}}}}}")
    assert service.overage_prices(app)["api_calls"][0].tiers[0].amount == Decimal("0.0001")


def test_metrics_are_listed_with_their_prices(app: App) -> None:
    write(app, "overage-tiers.yml", "overage: {api_calls: {amount: 0.5, per: 1000, currency: eur}}")
    found = {
        one.metric: (one.unit, one.aggregation, one.model, one.overage_price)
        for one in service.list_metrics(app, ListMetrics())
    }
    assert found["api_calls"] == ("request", "sum", "flat", "0.5 eur / 1000")
    assert found["storage"] == ("byte", "max", "none", "none")
