"""`/metrics` is what Prometheus reads; the shipped alerts build on nothing that is not there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from metering import people
from nself.app import App
from nself.core.entrypoint import Scheduled
from nself.core.errors import Unavailable
from nself.core.project import Project
from nself.domains.health import store
from nself.domains.health.service import exposition
from nself.domains.measurement import service as measurement
from nself.measure import measures
from nself.registry import Registry
from serving import Client, Service, new_key

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\bnself_[a-z_]+")


def test_the_text_is_what_prometheus_reads(app: App, service: Service):
    measures.observe("job", ('odd "name"\\\n', "ok"), 0.3, times=2)
    measures.observe("job", ('odd "name"\\\n', "ok"), 1000.0)
    measurement.flush(app)
    with service.client(None) as client:
        answer = client.get("/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(answer.body.decode())}
    assert families["nself_up"].samples[0].value == 1
    assert 0 < families["nself_disk_free_ratio"].samples[0].value < 1
    jobs = [one for one in families["nself_jobs_seconds"].samples if one.labels["type"] == 'odd "name"\\\n']
    assert {one.name[18:]: one.value for one in jobs if "le" not in one.labels} == {"_sum": 1000.6, "_count": 3}
    reached = [one.value for one in jobs if "le" in one.labels]
    assert reached == sorted(reached) and reached[-2:] == [2, 3], "what is beyond the last bound is in +Inf"


def test_usage_that_came_in_is_told(app: App, service: Service, client: Client):
    with service.client(None) as near:
        [user] = people(app)
        before = {one.name: one.samples for one in text_string_to_metric_families(near.get("/metrics").body.decode())}
        client.post("/api/v1/usage", {"user": user, "metric": "calls", "value": 1})
        after = {one.name: one.samples for one in text_string_to_metric_families(near.get("/metrics").body.decode())}
    last = "nself_usage_last_timestamp_seconds"
    assert after[last][0].value > before[last][0].value
    assert after["nself_usage_pending_events"][0].value == before["nself_usage_pending_events"][0].value + 1


def test_figures_are_for_this_machine_and_for_keys_with_the_scope(app: App, service: Service, client: Client):
    assert client.ask("GET", "/metrics", X_Forwarded_For="203.0.113.7").status == 403, "a key without the scope"
    with service.client(None) as near, service.client(new_key(app, "metrics")) as scraper:
        assert near.ask("GET", "/metrics", X_Forwarded_For="127.0.0.1").status == 401
        assert scraper.ask("GET", "/metrics", X_Forwarded_For="203.0.113.7").status == 200


def test_without_the_database_what_is_known_is_told(app: App, monkeypatch: pytest.MonkeyPatch):
    def away(_: App) -> None:
        raise Unavailable(detail="away")

    monkeypatch.setattr(exposition, "_stored", away)
    families = {one.name: one for one in text_string_to_metric_families(exposition.exposition(app))}
    assert families["nself_up"].samples[0].value == 0
    assert "nself_usage_buffered_events" in families and "nself_webhooks_waiting" not in families


def test_every_name_in_alerts_and_documentation_is_served(app: App):
    served = {line.split()[2] for line in exposition.exposition(app).splitlines() if line.startswith("# TYPE")}
    served |= {"nself_stripe_key_age_seconds"}  # where there is a key
    rules = [one for group in yaml.safe_load((DOCS / "alerts.yml").read_text())["groups"] for one in group["rules"]]
    assert len(rules) >= 15 and len({one["alert"] for one in rules}) == len(rules)
    for one in rules:
        names = {re.sub(r"_(count|sum|bucket)$", "", name) for name in NAME.findall(one["expr"])}
        assert names and names <= served, one["alert"]
        for kind in re.findall(r'type="(\w+)"', one["expr"]):
            assert kind in {row.type for row in Registry().rows(Scheduled)}, one["alert"]
    documented = set(NAME.findall((DOCS / "metrics.md").read_text()))
    assert documented == {*exposition.GAUGES, *(shown for shown, _ in exposition.HISTOGRAMS.values())}


def test_the_key_gets_older_and_a_new_one_is_new(tmp_path: Path):
    project, now = Project(tmp_path), datetime(2026, 1, 1, tzinfo=UTC)
    project.state.mkdir()
    assert store.key_age(project, "sk_test_one", now) == 0
    assert store.key_age(project, "sk_test_one", now + timedelta(days=2)) == 2 * 86_400
    assert store.key_age(project, "sk_test_two", now + timedelta(days=2)) == 0
    assert "sk_test" not in (project.state / "key-seen.json").read_text()
