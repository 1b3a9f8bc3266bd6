"""The periods of a subscription. All its items share them: mixed intervals are not here."""

from dataclasses import dataclass

from stripe_sandbox.call import Call
from stripe_sandbox.periods import period_around
from stripe_sandbox.store import Object


@dataclass(frozen=True)
class Period:
    """From `start` up to, not including, `end`."""

    start: int
    end: int


def current_period(subscription: Object) -> Period:
    return Period(subscription["_period_start"], subscription["_period_end"])


def full_period(subscription: Object, at: int) -> Period:
    """The period around an instant that follows from the anchor alone, however short the one billed is."""
    cycle = subscription["_cycle"]
    anchor = subscription["billing_cycle_anchor"]
    return Period(*period_around(anchor, cycle["interval"], cycle["interval_count"], at))


def items_of(call: Call, subscription: Object) -> list[Object]:
    return call.find("subscription_item", subscription=subscription["id"])


def set_period(call: Call, subscription: Object, period: Period) -> None:
    for item in items_of(call, subscription):
        call.change(item, {"current_period_start": period.start, "current_period_end": period.end})
    call.change(subscription, {"_period_start": period.start, "_period_end": period.end})
