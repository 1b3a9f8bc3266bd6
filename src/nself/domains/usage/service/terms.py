"""By what this month's figures were counted when it began, and what of it is different now."""

from __future__ import annotations

from datetime import UTC, date

import msgspec

from nself.app import App
from nself.domains.catalog import formulas
from nself.domains.catalog import service as catalog
from nself.domains.catalog.model import Metric
from nself.domains.usage import figures, store
from nself.domains.usage.facts import Terms

_decode = msgspec.json.Decoder(dict[str, Metric]).decode


def note(app: App) -> None:
    """Remember them, where nobody has yet and there is usage; before that nothing was counted by them."""
    with app.db.reading() as tx:
        if store.terms(tx, _month(app)) or store.last_recorded_at(tx) is None:
            return
    now = app.clock()
    found = msgspec.json.encode(catalog.metrics_at(app, now)).decode()
    terms = Terms(month=_month(app), zone=app.timezone.key, formulas=found, noted_at=now)
    app.db.transact(lambda tx: store.note_terms(tx, terms))


def _month(app: App) -> date:
    return app.clock().astimezone(UTC).date().replace(day=1)


def of_now(app: App) -> Terms | None:
    with app.db.reading() as tx:
        return store.terms(tx, _month(app))


def changed_formulas(app: App) -> dict[str, tuple[str, str]]:
    """Metrics that are counted in another way than when the month began: before and now, in words."""
    terms = of_now(app)
    if terms is None:
        return {}
    before, now = _decode(terms.formulas), catalog.metrics_at(app, app.clock())
    words = {name: (_words(one), _words(now[name])) for name, one in before.items() if name in now}
    return {name: both for name, both in words.items() if both[0] != both[1]}


def _words(metric: Metric) -> str:
    return f"{figures.brief(metric)} ({formulas.filter_text(metric)})"


def changed_zone(app: App) -> str:
    """The zone in which the month began, where BILLING_TIMEZONE names another one now; else empty."""
    terms = of_now(app)
    return terms.zone if terms and terms.zone != app.timezone.key else ""


def told(app: App, metric: str) -> list[str]:
    """What of it is different now, in words."""
    month, zone = f"{_month(app):%Y-%m}", changed_zone(app)
    found = changed_formulas(app).get(metric)
    lines = (
        [
            f"{month} began with {found[0]}, the file has {found[1]} now: put it back, and add a version `from` a later month"
        ]
        if found
        else []
    )
    if zone:
        lines.append(f"{month} began in the zone {zone}, BILLING_TIMEZONE is {app.timezone.key} now")
    return lines
