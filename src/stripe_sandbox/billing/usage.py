"""Metered usage: what a customer's meter events add up to in a period."""

from decimal import Decimal

from stripe_sandbox.billing.cycle import Period
from stripe_sandbox.call import Call
from stripe_sandbox.store import Object


def used(call: Call, price: Object, customer: str, period: Period) -> Decimal:
    meter = call.load("billing.meter", price["recurring"]["meter"])
    return aggregated(call, meter, customer, period)


def aggregated(call: Call, meter: Object, customer: str, period: Period) -> Decimal:
    """Sum, count or last value of the events from the period's start up to, not including, its end."""
    rows = call.store.rows(
        "SELECT value FROM meter_events WHERE meter = ? AND customer = ? AND at >= ? AND at < ? AND NOT canceled"
        " ORDER BY at, n",
        meter["id"], customer, period.start, period.end,
    )  # fmt: skip
    values = [Decimal(value) for (value,) in rows]
    match meter["default_aggregation"]["formula"]:
        case "count":
            return Decimal(len(values))
        case "last":
            return values[-1] if values else Decimal(0)
        case _:
            return sum(values, Decimal(0))
