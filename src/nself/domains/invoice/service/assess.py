"""What users owe for their usage in a period: read in one place, for invoices, previews and audits alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from nself.app import App
from nself.core.period import Period
from nself.db.connect import Tx
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric, Version
from nself.domains.invoice import rules, store
from nself.domains.invoice.errors import MonthMoved
from nself.domains.invoice.model import Billed, Decision, InvoicedLine, MixedCurrencies, Overage, Override, PlannedLine
from nself.domains.quota.model import Limit
from nself.domains.quota.service import limits as quota
from nself.domains.usage.figures import Figure
from nself.domains.usage.service import show as usage


class Catalog(NamedTuple):
    """Metrics and prices as they were when a period began."""

    metrics: Mapping[str, Metric]
    prices: Mapping[str, Version]


class Assessed(NamedTuple):
    """Of one user: overage by metric, decisions on other periods that are not invoiced yet, limits per another period."""

    overages: list[Overage]
    adjustments: list[PlannedLine]
    not_monthly: set[str]


def catalog_at(app: App, tx: Tx, span: Period) -> Catalog:
    """Step: raises BrokenCatalog."""
    return Catalog(catalog.metrics_of(app, tx, span.start), catalog.prices_at(app, span.start))


def billable_at(app: App, tx: Tx, span: Period) -> Catalog:
    """Step: raises BrokenCatalog, and MixedCurrencies: Stripe's invoices have one."""
    known = catalog_at(app, tx, span)
    currencies = sorted({price.currency or "" for price in known.prices.values()})
    if len(currencies) > 1:
        raise MixedCurrencies(currencies=", ".join(currencies))
    return known


def assess(app: App, tx: Tx, users: list[str], span: Period, known: Catalog) -> dict[str, Assessed]:
    """Step: what each of `users` owes for `span`."""
    overrides = _grouped(store.overrides(tx, users, app.settings.live))
    return of_figures(app, tx, users, span, known, usage.figures_of(app, tx, users, span, known.metrics), overrides)


def everybody(app: App, tx: Tx, span: Period, known: Catalog) -> dict[str, Assessed]:
    """Step: the same for all with usage in `span`, or of whose overage an operator decided something."""
    found, decided = (
        usage.figures_of(app, tx, None, span, known.metrics),
        store.users_with_overrides(tx, None, app.settings.live),
    )
    users = sorted({one.user for one in found}.union(decided))
    return of_figures(app, tx, users, span, known, found, _grouped(store.overrides(tx, users, app.settings.live)))


def of_figures(
    app: App, tx: Tx, users: list[str], span: Period, known: Catalog, figures: Iterable[Figure], overrides: Mapping[str, list[Override]]
) -> dict[str, Assessed]:  # fmt: skip
    """Step: the same from given figures and decisions."""
    used: dict[str, dict[str, Figure]] = defaultdict(dict)
    limits: dict[str, dict[str, Limit]] = defaultdict(dict)
    billed: dict[str, dict[str, Billed]] = defaultdict(dict)
    for one in figures:
        used[one.user][one.metric] = one
    for limit in quota.effective_limits(app, tx, users, span.start):
        limits[limit.user][limit.metric] = limit
    for done in store.billed(tx, users, span, app.settings.live):
        billed[done.user][done.metric] = done
    found: dict[str, Assessed] = {}
    for user in users:
        decided = overrides.get(user, [])
        here = {one.metric: one for one in decided if (one.period_start, one.period_end) == span}
        facts = rules.Facts(used[user], limits[user], billed[user], here)
        found[user] = Assessed(
            rules.overages(user, span, facts, known.metrics, known.prices),
            rules.adjustments(decided, span),
            rules.not_monthly(limits[user]),
        )
    return found


def _grouped(overrides: Iterable[Override]) -> dict[str, list[Override]]:
    found: dict[str, list[Override]] = defaultdict(list)
    for one in overrides:
        found[one.user].append(one)
    return found


def lock(tx: Tx, users: list[str]) -> None:
    """Step: until the end of `tx` nobody else plans or decides what is billed to `users`."""
    store.lock_users(tx, users)


def require_unmoved(app: App, tx: Tx, user: str | None, span: Period) -> None:
    """Step: raises MonthMoved where the month was billed by another BILLING_TIMEZONE."""
    found = store.moved(tx, user, span, app.settings.live)
    if found:
        start, end = (f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for at in found)
        raise MonthMoved(month=month(app, span.start), start=start, end=end, zone=app.timezone.key)


def decide(app: App, tx: Tx, decision: Decision) -> None:
    """Step: record what an operator decided, under the user's lock; the next invoice follows it."""
    store.add_override(tx, decision, app.settings.live)


def open_decisions(app: App, tx: Tx, most: int) -> list[Override]:
    """Step: what was decided of anybody's overage, for no reason that was told, and is not billed yet; the newest `most`."""
    users = store.users_with_overrides(tx, None, app.settings.live)
    found = [one for one in store.overrides(tx, users, app.settings.live) if not one.lines and not one.reason]
    return sorted(found, key=lambda one: one.id)[-most:]


def invoiced_lines(app: App, tx: Tx, user: str) -> list[InvoicedLine]:
    """Step: what was decided to be billed to `user` for usage, oldest first."""
    return store.user_lines(tx, user, app.settings.live)


def invoiced_periods(app: App, tx: Tx, user: str) -> list[Period]:
    """Step: the periods of which something was billed to `user`, or is on its way."""
    return sorted({Period(one.period_start, one.period_end) for one in invoiced_lines(app, tx, user)})


def months_of(app: App, tx: Tx, user: str) -> set[datetime]:
    """Step: beginnings of the periods of which something was billed to `user`, or decided."""
    lines, overrides = invoiced_lines(app, tx, user), store.overrides(tx, [user], app.settings.live)
    return {one.period_start for one in [*lines, *overrides]}


def month(app: App, start: datetime) -> str:
    """`2026-01`, as --period takes it."""
    return f"{start.astimezone(app.timezone):%Y-%m}"
