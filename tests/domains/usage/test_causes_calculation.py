"""A formula or a zone that is changed in a month that had begun is seen; before there is usage nothing is."""

from __future__ import annotations

from metering import people
from metering_fixtures import Places
from nself.app import App
from nself.diagnosis import Look
from nself.domains.usage.inputs import ShowFormula, UsageEvent
from nself.domains.usage.service import aggregate, inspect, record
from nself.domains.usage.service.causes import calculation


def found(app: App) -> set[str]:
    return {one.id for one in calculation.CAUSES if one.detect(Look(app))}


def test_a_formula_that_is_changed_in_its_month_is_found_until_it_is_put_back(app: App) -> None:
    aggregate.aggregate(app)
    path = app.project.config / "usage-metrics.yml"
    text = path.read_text()
    (user,) = people(app)
    assert not record.ingest(app, [UsageEvent(user=user, metric="calls", value=1)], "http").refused
    aggregate.aggregate(app)
    path.write_text(text.replace("aggregation: max", "aggregation: last", 1))
    assert text != path.read_text() and found(app) == {"2.3.2"}
    changed = inspect.show_formula(app, ShowFormula(metric="peak")).changed
    assert "began with max" in changed[0] and "last" in changed[0]
    path.write_text(text + "  fresh: {unit: thing}\n")
    assert found(app) == set()
    path.write_text(text)


def test_a_zone_that_is_changed_in_its_month_is_found(app_in: Places) -> None:
    app, other = app_in(), app_in("Pacific/Auckland")
    (user,) = people(app)
    assert not record.ingest(app, [UsageEvent(user=user, metric="calls", value=1)], "http").refused
    aggregate.aggregate(app)
    assert found(app) == set() and found(other) == {"2.3.3"}
