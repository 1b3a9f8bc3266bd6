"""Billing meters: how the events of a customer's usage add up, and what they add up to. Stripe has no events of them."""

from decimal import Decimal
from typing import Any

from stripe_sandbox.billing.cycle import Period
from stripe_sandbox.billing.usage import aggregated
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Choice, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    PAGE,
    Params,
    Resource,
    list_of,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.store import Object

METER = register(
    Resource(
        kind="billing.meter",
        prefix="mtr",
        path="/v1/billing/meters",
        item="id",
        title="meter",
        fields={
            "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
            "default_aggregation": {},
            "display_name": "",
            "event_name": "",
            "event_time_window": None,
            "status": "active",
            "status_transitions": {"deactivated_at": None},
            "updated": 0,
            "value_settings": {"event_payload_key": "value"},
        },
    )
)

_KEY = Text(100)


@operation(
    "POST",
    METER.path,
    Shape(
        {
            "customer_mapping": Shape(
                {"event_payload_key": _KEY, "type": Choice("by_id")}, required=("event_payload_key", "type")
            ),
            "default_aggregation": Shape({"formula": Choice("count", "last", "sum")}, required=("formula",)),
            "display_name": Text(250),
            "event_name": Text(100),
            "value_settings": Shape({"event_payload_key": _KEY}, required=("event_payload_key",)),
        },
        required=("default_aggregation", "display_name", "event_name"),
    ),
)
def create(call: Call, params: Params) -> Object:
    _check_name_is_free(call, params["event_name"])
    return call.create(METER, {**params, "updated": call.now})


def _check_name_is_free(call: Call, event_name: str) -> None:
    if call.find("billing.meter", event_name=event_name, status="active"):
        raise StripeError(f"There is already an active meter for the event {event_name}.", param="event_name")


@operation("POST", METER.item_path, Shape({"display_name": Text(250)}))
def update(call: Call, params: Params) -> Object:
    meter = call.addressed("billing.meter")
    call.change(meter, {**params, "updated": call.now})
    return meter


@operation("POST", f"{METER.item_path}/deactivate")
def deactivate(call: Call, params: Params) -> Object:
    meter = call.addressed("billing.meter")
    if meter["status"] == "inactive":
        raise StripeError("The meter is already inactive.", param="id")
    changed = {"status": "inactive", "status_transitions": {"deactivated_at": call.now}, "updated": call.now}
    call.change(meter, changed)
    return meter


@operation("POST", f"{METER.item_path}/reactivate")
def reactivate(call: Call, params: Params) -> Object:
    meter = call.addressed("billing.meter")
    if meter["status"] == "active":
        raise StripeError("The meter is already active.", param="id")
    _check_name_is_free(call, meter["event_name"])
    changed = {"status": "active", "status_transitions": {"deactivated_at": None}, "updated": call.now}
    call.change(meter, changed)
    return meter


retrievable(METER)
listable(METER, {"status": matches("status", Choice("active", "inactive"))})

_WINDOWS = {"hour": 3600, "day": 86_400}
_MINUTE = 60


@operation(
    "GET",
    f"{METER.item_path}/event_summaries",
    Shape(
        {
            **PAGE,
            "customer": Text(),
            "end_time": Timestamp(),
            "start_time": Timestamp(),
            "value_grouping_window": Choice("day", "hour"),
        },
        required=("customer", "end_time", "start_time"),
    ),
)
def summaries(call: Call, params: Params) -> Object:
    """Newest first; windows without events are left out."""
    meter = call.addressed("billing.meter")
    customer = call.require("customer", params["customer"], param="customer")
    window = _WINDOWS.get(params.get("value_grouping_window", ""))
    asked = _aligned(params, window or _MINUTE)
    found = [_summary(call, meter, customer["id"], one) for one in _windows(call, meter, customer["id"], asked, window)]
    return _paged(found, params, f"/v1/billing/meters/{meter['id']}/event_summaries")


def _aligned(params: Params, to: int) -> Period:
    for name in ("start_time", "end_time"):
        if params[name] % to:
            raise StripeError(f"{name} must be aligned with {to} seconds.", param=name)
    if params["end_time"] <= params["start_time"]:
        raise StripeError("end_time must be after start_time.", param="end_time")
    return Period(params["start_time"], params["end_time"])


def _windows(call: Call, meter: Object, customer: str, asked: Period, window: int | None) -> list[Period]:
    if window is None:
        return [asked]
    rows = call.store.rows(
        "SELECT DISTINCT at / ?1 FROM meter_events WHERE meter = ?2 AND customer = ?3 AND at >= ?4 AND at < ?5"
        " AND NOT canceled ORDER BY 1 DESC",
        window, meter["id"], customer, asked.start, asked.end,
    )  # fmt: skip
    return [Period(number * window, (number + 1) * window) for (number,) in rows]


def _summary(call: Call, meter: Object, customer: str, period: Period) -> Object:
    return {
        "id": f"mtrusg_{meter['id']}_{period.start}",
        "object": "billing.meter_event_summary",
        "aggregated_value": _number(aggregated(call, meter, customer, period)),
        "end_time": period.end,
        "livemode": False,
        "meter": meter["id"],
        "start_time": period.start,
    }


def _number(value: Decimal) -> Any:
    """The only place where Stripe's API has a broken number that is no string."""
    return int(value) if value == value.to_integral_value() else float(value)


def _paged(found: list[Object], params: Params, url: str) -> Object:
    ids = [one["id"] for one in found]
    limit = params.get("limit", 10)
    for name in ("starting_after", "ending_before"):
        if name in params and params[name] not in ids:
            raise StripeError(f"No such summary: '{params[name]}'", code="resource_missing", param=name)
    if "ending_before" in params:
        until = ids.index(params["ending_before"])
        return list_of(found[max(until - limit, 0) : until], url, has_more=until > limit)
    begin = ids.index(params["starting_after"]) + 1 if "starting_after" in params else 0
    return list_of(found[begin : begin + limit], url, has_more=len(found) > begin + limit)
