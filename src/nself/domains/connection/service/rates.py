"""How many calls go to Stripe, over all processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from nself.app import App
from nself.core.period import Period
from nself.domains.connection import rules, store
from nself.domains.connection.inputs import ShowRate, ShowRateLimits
from nself.domains.connection.model import Pressure, Rate, RateLimits, Second
from nself.domains.measurement import service as measurement
from nself.gateway import budget

HOUR = timedelta(hours=1)


def rate_limits(app: App, given: ShowRateLimits) -> RateLimits:
    """What Stripe allows, what nself allows itself, and how much of it was used."""
    settings = app.settings
    with app.db.reading() as tx:
        seconds = store.granted(tx, settings.live, HOUR)
    allowed, pressed = budget.limit(settings), pressure(app)
    minute = [one for one in seconds if one.age < 60]
    return RateLimits(
        mode=settings.text("STRIPE_MODE"),
        stripe_allows=budget.allowed(settings),
        buffer=settings.decimal("STRIPE_RATE_LIMIT_BUFFER"),
        nself_allows=allowed,
        last_minute=rules.per_second(sum(one.granted for one in minute), 60),
        busiest_second=max((one.granted for one in seconds), default=0),
        refused_last_hour=pressed.refused,
        calls_last_hour=sum(one.granted for one in seconds),
        note=rules.rate_note(pressed, max((one.granted for one in minute), default=0), allowed),
    )


def pressure(app: App) -> Pressure:
    """What Stripe refused within the hour, and what of our doing makes that likely. For `look.once`."""
    now = app.clock()
    with app.db.reading() as tx:
        minutes = measurement.by_minute(tx, Period(now - HOUR, now + HOUR), "stripe_request")
    return rules.pressure(app.settings, minutes, now)


def show_rate(app: App, given: ShowRate) -> list[Rate]:
    """Minutes in which there were calls, newest first."""
    with app.db.reading() as tx:
        seconds = store.granted(tx, app.settings.live, timedelta(minutes=given.minutes))
    by_minute = dict[int, list[Second]]()
    for one in seconds:
        by_minute.setdefault(one.second // 60 * 60, []).append(one)
    allowed = budget.limit(app.settings)
    return [_rate(minute, by_minute[minute], allowed) for minute in sorted(by_minute, reverse=True)]


def _rate(minute: int, seconds: list[Second], allowed: int) -> Rate:
    busiest = max(one.granted for one in seconds)
    return Rate(
        minute=datetime.fromtimestamp(minute, UTC),
        calls=sum(one.granted for one in seconds),
        busiest_second=busiest,
        share=int(Decimal(busiest * 100) // allowed),
    )
