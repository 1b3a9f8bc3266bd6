"""Formulas that change, and figures that are no sums, on the way to money."""

from __future__ import annotations

from money_bench import AT, MONTH, Bench, charge_overage

from nself.app import App
from nself.domains.invoice.inputs import ExplainInvoice, ListInvoices
from nself.domains.invoice.service import explain as explaining
from nself.domains.invoice.service import show as invoices
from nself.domains.overage.inputs import AuditOverage, RecalculateOverage
from nself.domains.overage.service import decide, show
from nself.domains.usage.inputs import ShowFormula, ShowUsage, UsageEvent
from nself.domains.usage.service import inspect, record
from nself.domains.usage.service import show as usage

PRICES = """\
overage:
  api_calls: {amount: "0.05"}
  people: {amount: "1.00"}
  held: {amount: "1.00", per: 86400}
"""


def metrics(bench: Bench, api_calls: str = "{unit: request, aggregation: sum}") -> App:
    config = bench.folder / "services/billing/config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "usage-metrics.yml").write_text(
        f"metrics:\n  api_calls: {api_calls}\n  people: {{unit: person, aggregation: unique, field: who}}\n"
        "  held: {unit: disk, aggregation: time_weighted}\n"
    )
    (config / "overage-tiers.yml").write_text(PRICES)
    return bench.app()


def use(app: App, user: str, metric: str, value: int, at: str, **properties: object) -> None:
    event = UsageEvent(user=user, metric=metric, value=value, at=at, properties=properties or None)
    assert not record.ingest(app, [event], "test").refused


def figure(app: App, metric: str, period: str = MONTH) -> int:
    (found,) = usage.show(app, ShowUsage(user="user", metric=metric, period=period))
    return found.value


def test_a_file_that_is_changed_afterwards_does_not_re_rate_an_invoiced_month(bench: Bench) -> None:
    app = metrics(bench)
    bench.create(app, "user")
    for value in (15, 25):
        use(app, "user", "api_calls", value, AT)
    assert bench.bill(app).total_minor == 100  # 20 above 20 at 0.05
    app = metrics(bench, "{unit: request, aggregation: max}")
    assert figure(app, "api_calls") == 40
    again = bench.bill(app)
    assert (again.planned_now, again.total_minor) == (0, 100)
    (row,) = show.audit(app, AuditOverage(user="user"))
    assert (row.used, row.difference_minor) == (40, 0)
    (row,) = decide.recalculate(app, RecalculateOverage(user="user"))
    assert (row.used_before, row.used_after) == (40, 40)
    use(app, "user", "api_calls", 10, AT)  # late: the month it belongs to was invoiced by its sum
    assert bench.bill(app).total_minor == 150
    told = inspect.show_formula(app, ShowFormula(metric="api_calls", period=MONTH))
    assert (told.aggregation, told.kept) == ("max", ["2026-01: sum in request"])
    use(app, "user", "api_calls", 7, "2026-02-03T00:00:00Z")
    use(app, "user", "api_calls", 5, "2026-02-04T00:00:00Z")
    assert figure(app, "api_calls", "2026-02") == 7  # nothing was invoiced of it yet


def test_a_version_by_date_leaves_the_months_before_alone(bench: Bench) -> None:
    app = metrics(
        bench,
        "[{from: 2000-01-01, unit: request, aggregation: sum}, {from: 2026-02-01, unit: request, aggregation: count}]",
    )
    bench.create(app, "user")
    for at in (AT, "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z"):
        use(app, "user", "api_calls", 5, at)
    assert (figure(app, "api_calls"), figure(app, "api_calls", "2026-02")) == (10, 1)
    assert inspect.show_formula(app, ShowFormula(metric="api_calls")).kept == []


def test_distinct_values_and_what_holds_are_invoiced_also_without_an_event_in_the_month(bench: Bench) -> None:
    app = metrics(bench)
    charge_overage(app, "people", 1)
    charge_overage(app, "held", 0)
    bench.create(app, "user")
    for who in ("ann", "bob", "ann", "eve"):
        use(app, "user", "people", 1, AT, who=who)
    use(app, "user", "held", 2, "2025-11-30T00:00:00Z")
    use(app, "user", "held", 0, "2026-01-29T00:00:00Z")
    done = bench.bill(app, period="2025-12")
    assert done.total_minor == 2 * 31 * 100  # two disks, 31 days, 1.00 each a day; no event in December
    done = bench.bill(app)
    assert done.total_minor == (2 * 28 + 2) * 100
    months = [row.period for row in show.audit(app, AuditOverage(user="user"))]
    assert months == ["2025-11", "2025-12", "2026-01", "2026-01"]
    lines = [
        line
        for one in invoices.list_invoices(app, ListInvoices(user="user"))
        for line in explaining.explain(app, ExplainInvoice(invoice=one.id)).lines
        if line.overage and line.overage.period == MONTH
    ]
    found = {
        one.overage.metric: (one.overage.used, one.overage.used_now, one.overage.unit) for one in lines if one.overage
    }
    assert found == {
        "people": (3, 3, "person"),
        "held": (2 * 28 * 86400, 2 * 28 * 86400, "disk-second"),
    }
