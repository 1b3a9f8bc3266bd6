"""The phases of a subscription's schedule: the one that begins with a period, and the end of all."""

from stripe_sandbox.billing.cycle import items_of
from stripe_sandbox.call import Call
from stripe_sandbox.store import Object


def begin_next(call: Call, subscription: Object) -> None:
    """At the end of a period, before the next one begins: the items of the phase that begins with it."""
    schedule = call.load("subscription_schedule", subscription["schedule"]) if subscription["schedule"] else None
    if schedule is None or schedule["_phase"] + 1 == len(schedule["phases"]):
        return
    phase = schedule["phases"][schedule["_phase"] + 1]
    for item, wanted in zip(items_of(call, subscription), phase["items"], strict=True):
        call.change(item, {"_price": wanted["price"], "quantity": wanted["quantity"]})
    recurring = call.load("price", phase["items"][0]["price"])["recurring"]
    cycle = {name: recurring[name] for name in ("interval", "interval_count")}
    if cycle != subscription["_cycle"]:
        call.change(subscription, {"_cycle": cycle, "billing_cycle_anchor": subscription["_period_end"]})
    call.update(schedule, {"_phase": schedule["_phase"] + 1}, "subscription_schedule.updated")


def end_with(call: Call, subscription: Object) -> None:
    """The subscription was canceled."""
    schedule = call.load("subscription_schedule", subscription["schedule"]) if subscription["schedule"] else None
    if schedule is not None and schedule["status"] == "active":
        call.update(schedule, {"canceled_at": call.now, "status": "canceled"}, "subscription_schedule.canceled")
