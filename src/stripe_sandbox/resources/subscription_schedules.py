"""Schedules: what a subscription becomes when its period ends.

https://docs.stripe.com/billing/subscriptions/subscription-schedules. Here: one that is made from a subscription, as it
is and one phase that follows at the end of its period; afterwards the subscription is released.
"""

from typing import Any

from stripe_sandbox.billing import signup
from stripe_sandbox.billing.cycle import items_of
from stripe_sandbox.billing.lines import metered, price_of
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.params import Boolean, Choice, Integer, Items, Metadata, Shape, Text, Timestamp
from stripe_sandbox.periods import period_around
from stripe_sandbox.resource import (
    CREATED,
    Params,
    Resource,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.schedule import scheduled
from stripe_sandbox.store import Object


def _current_phase(call: Call, schedule: Object) -> Object | None:
    if schedule["status"] != "active":
        return None
    phase = schedule["phases"][schedule["_phase"]]
    return {name: phase[name] for name in ("end_date", "start_date")}


SCHEDULE = register(
    Resource(
        kind="subscription_schedule",
        prefix="sub_sched",
        path="/v1/subscription_schedules",
        item="schedule",
        id_param="schedule",
        title="subscription schedule",
        fields={
            "application": None,
            "billing_mode": {},
            "canceled_at": None,
            "completed_at": None,
            "customer": "",
            "customer_account": None,
            "default_settings": {
                "application_fee_percent": None,
                "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
                "billing_cycle_anchor": "automatic",
                "billing_thresholds": None,
                "collection_method": "charge_automatically",
                "default_payment_method": None,
                "description": None,
                "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
                "on_behalf_of": None,
                "transfer_data": None,
            },
            "end_behavior": "release",
            "metadata": {},
            "phases": [],
            "released_at": None,
            "released_subscription": None,
            "status": "active",
            "subscription": None,
            "test_clock": None,
            "_phase": 0,
        },
        references={
            "application": "application",
            "customer": "customer",
            "phases.items.price": "price",
            "subscription": "subscription",
            "test_clock": "test_helpers.test_clock",
        },
        embedded={"current_phase": _current_phase},
    )
)

_PLAIN: dict[str, Any] = {
    "add_invoice_items": [],
    "application_fee_percent": None,
    "billing_cycle_anchor": None,
    "billing_thresholds": None,
    "collection_method": None,
    "default_payment_method": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "invoice_settings": None,
    "metadata": {},
    "on_behalf_of": None,
    "transfer_data": None,
    "trial_end": None,
}


def _phase(currency: str, start: int, end: int, items: list[Object], **more: Any) -> Object:
    return {
        **_PLAIN,
        "currency": currency,
        "start_date": start,
        "end_date": end,
        "items": items,
        "proration_behavior": "create_prorations",
        **more,
    }


def _item(price: str, quantity: int | None) -> Object:
    counted = {} if quantity is None else {"quantity": quantity}
    return {"billing_thresholds": None, "discounts": [], "metadata": {}, "price": price, "tax_rates": [], **counted}


def _as_it_is(call: Call, subscription: Object) -> list[Object]:
    return [_item(one["_price"], one.get("quantity")) for one in items_of(call, subscription)]


@operation("POST", SCHEDULE.path, Shape({"from_subscription": Text()}))
def create(call: Call, params: Params) -> Object:
    if "from_subscription" not in params:
        raise unsupported("POST /v1/subscription_schedules without from_subscription")
    subscription = call.require("subscription", params["from_subscription"], param="from_subscription")
    if subscription["status"] not in ("active", "past_due", "trialing"):
        raise StripeError(
            f"You cannot migrate a subscription that is `{subscription['status']}` to a schedule.",
            param="from_subscription",
        )
    if subscription["schedule"]:
        raise StripeError(
            f"You cannot migrate a subscription that is already attached to a schedule: `{subscription['schedule']}`.",
            param="from_subscription",
        )
    if subscription["cancel_at"] is not None:
        raise unsupported("a schedule of a subscription that is to be canceled")
    start, end = subscription["_period_start"], subscription["_period_end"]
    now = _phase(
        subscription["currency"], start, end, _as_it_is(call, subscription), trial_end=_trial(subscription)
    )  # fmt: skip
    made = call.create(
        SCHEDULE,
        {
            "billing_mode": subscription["billing_mode"],
            "customer": subscription["customer"],
            "phases": [now],
            "subscription": subscription["id"],
        },
    )
    call.emit("subscription_schedule.created", made)
    call.update(subscription, {"schedule": made["id"]}, "customer.subscription.updated")
    return made


def _trial(subscription: Object) -> int | None:
    return subscription["trial_end"] if subscription["status"] == "trialing" else None


_PHASE = Shape(
    {
        "duration": Shape(
            {"interval": Choice("day", "month", "week", "year"), "interval_count": Integer(1)},
            required=("interval",),
            defaults={"interval_count": 1},
        ),
        "end_date": Timestamp(),
        "items": Items(Shape({"price": Text(), "quantity": Integer(0)}, required=("price",)), signup.MOST_ITEMS),
        "proration_behavior": Choice("always_invoice", "create_prorations", "none"),
        "start_date": Timestamp(),
        "trial_end": Timestamp(),
    },
    required=("items",),
)


def _running(call: Call, verb: str) -> Object:
    schedule = call.addressed("subscription_schedule")
    if schedule["status"] != "active":
        raise StripeError(
            f"You cannot {verb} a subscription schedule that is currently in the `{schedule['status']}` status. It must"
            " be in the `not_started` or `active` status.",
        )
    return schedule


@operation(
    "POST",
    SCHEDULE.item_path,
    Shape({"end_behavior": Choice("release"), "metadata": Metadata(), "phases": Items(_PHASE, 10)}),
)
def update(call: Call, params: Params) -> Object:
    schedule = _running(call, "update")
    subscription = call.load("subscription", schedule["subscription"])
    fields: dict[str, Any] = {"metadata": params["metadata"]} if "metadata" in params else {}
    if "phases" in params:
        fields |= {"phases": _phases(call, schedule, subscription, params["phases"]), "_phase": 0}
    call.update(schedule, fields, "subscription_schedule.updated")
    return schedule


def _phases(call: Call, schedule: Object, subscription: Object, given: list[Params]) -> list[Object]:
    """The one that runs must be given as it is; at most one follows."""
    current = schedule["phases"][schedule["_phase"]]
    first, rest = given[0], given[1:]
    if first.get("start_date") != current["start_date"]:
        raise StripeError("You can not modify the start date of the current phase.", param="phases[0][start_date]")
    asked = [(one["price"], one.get("quantity", 1)) for one in first["items"]]
    stands = [(one["_price"], one.get("quantity", 1)) for one in items_of(call, subscription)]
    if sorted(asked) != sorted(stands) or first.get("trial_end") != _trial(subscription):
        raise unsupported("a change of the phase that runs")
    end = subscription["_period_end"]
    if first.get("end_date") != end or len(rest) > 1:
        raise unsupported("phases that end elsewhere than with the period, and more than one that follows")
    phases = [_phase(current["currency"], current["start_date"], end, current["items"], trial_end=_trial(subscription))]
    return phases + [_next(call, subscription, end, one) for one in rest]


def _next(call: Call, subscription: Object, start: int, given: Params) -> Object:
    if (
        given.get("start_date", start) != start
        or "trial_end" in given
        or ("end_date" in given) == ("duration" in given)
    ):
        raise unsupported("a phase that does not begin where the one before ends, with end_date or duration")
    items: list[Object] = []
    for number, one in enumerate(given["items"]):
        at = f"phases[1][items][{number}]"
        price = call.require("price", one["price"], param=f"{at}[price]")
        if price["currency"] != subscription["currency"]:
            raise StripeError("All prices on a subscription must have the same currency.", param=f"{at}[price]")
        signup.check_price(price, price, f"{at}[price]")
        signup.check_quantity(price, one, f"{at}[quantity]")
        items.append(_item(price["id"], one.get("quantity", 1)))
        if metered(price):
            raise unsupported("usage-based prices in phases")
    if any(metered(price_of(call, one)) for one in items_of(call, subscription)):
        raise unsupported("usage-based prices in phases")
    if len(items) != len(items_of(call, subscription)):
        raise unsupported("a phase with more or fewer items")
    lasts = given.get("duration")
    end = (
        period_around(start, lasts["interval"], lasts["interval_count"], start)[1] if lasts else int(given["end_date"])
    )  # fmt: skip
    more = {"proration_behavior": given["proration_behavior"]} if "proration_behavior" in given else {}
    return _phase(subscription["currency"], start, end, items, **more)


@operation("POST", f"{SCHEDULE.item_path}/release", Shape({"preserve_cancel_date": Boolean()}))
def release(call: Call, params: Params) -> Object:
    schedule = _running(call, "release")
    let_go(call, schedule)
    return schedule


def let_go(call: Call, schedule: Object) -> None:
    """The subscription goes on as it is."""
    subscription = call.load("subscription", schedule["subscription"])
    changed = {"released_at": call.now, "released_subscription": subscription["id"], "status": "released"}
    call.update(schedule, {**changed, "subscription": None}, "subscription_schedule.released")
    call.update(subscription, {"schedule": None}, "customer.subscription.updated")


def _due(schedule: Object) -> int | None:
    last = schedule["_phase"] == len(schedule["phases"]) - 1
    return schedule["phases"][-1]["end_date"] if schedule["status"] == "active" and last else None


@scheduled("subscription_schedule", _due)
def step(call: Call, schedule: Object) -> None:
    """All phases are over."""
    let_go(call, schedule)


retrievable(SCHEDULE)
listable(SCHEDULE, {**CREATED, "customer": matches("customer")})
