"""Meter events: usage as it is reported, and events that are taken back.

An event of a customer that there is not is taken without complaint and counts for nobody: Stripe answers the same
and reports the error later, which the sandbox does not.
"""

import re
from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Choice, Metadata, Shape, Text, Timestamp
from stripe_sandbox.resource import Params, operation
from stripe_sandbox.store import Object

_OLDEST = 35 * 86_400
_FURTHEST_AHEAD = 5 * 60
_UNIQUE_FOR = 24 * 3600
_VALUE = re.compile(r"-?\d{1,15}(\.\d{1,12})?\Z")


@operation(
    "POST",
    "/v1/billing/meter_events",
    Shape(
        {"event_name": Text(100), "identifier": Text(100), "payload": Metadata(), "timestamp": Timestamp()},
        required=("event_name", "payload"),
    ),
)
def create(call: Call, params: Params) -> Object:
    meter = _meter(call, params["event_name"])
    payload: dict[str, str] = dict(params["payload"].values or {})
    customer = _of_payload(payload, meter["customer_mapping"]["event_payload_key"])
    counts = meter["default_aggregation"]["formula"] == "count"
    value_key = meter["value_settings"]["event_payload_key"]
    value = payload.get(value_key, "1") if counts else _of_payload(payload, value_key)
    if not _VALUE.match(value):
        raise StripeError(
            f"The value must be a number of at most 15 digits: {value}",
            code="meter_event_invalid_value", param=f"payload[{value_key}]",
        )  # fmt: skip
    known = call.look("customer", customer)
    if known is not None and not known.get("deleted"):
        call.follow(known)
    at = _timestamp(call, params)
    identifier = params.get("identifier") or ids.new_id("mevt")
    _check_unique(call, identifier)
    call.store.run(
        "INSERT INTO meter_events (meter, customer, at, value, identifier, received) VALUES (?, ?, ?, ?, ?, ?)",
        meter["id"], customer, at, value, identifier, call.wall,
    )  # fmt: skip
    return {
        "object": "billing.meter_event",
        "created": call.now,
        "event_name": meter["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": payload,
        "timestamp": at,
    }


def _meter(call: Call, event_name: str) -> Object:
    found = call.find("billing.meter", event_name=event_name)
    active = next((one for one in found if one["status"] == "active"), None)
    if active is None:
        raise StripeError(
            f"No active meter found for event_name: {event_name}",
            code="archived_meter" if found else "no_meter", param="event_name",
        )  # fmt: skip
    return active


def _of_payload(payload: dict[str, str], key: str) -> str:
    if not payload.get(key):
        raise StripeError(f"The payload must contain {key}.", code="parameter_missing", param=f"payload[{key}]")
    return payload[key]


def _timestamp(call: Call, params: Params) -> int:
    """35 days back to 5 minutes ahead, seen from the customer's own time."""
    at: int = params.get("timestamp", call.now)
    if at < call.now - _OLDEST:
        raise StripeError(
            "The timestamp must be within the past 35 days.", code="timestamp_too_far_in_past", param="timestamp"
        )
    if at > call.now + _FURTHEST_AHEAD:
        raise StripeError(
            "The timestamp must not be more than 5 minutes in the future.",
            code="timestamp_in_future", param="timestamp",
        )  # fmt: skip
    return at


def _find(call: Call, identifier: str) -> tuple[Any, ...] | None:
    return call.store.row(
        "SELECT n, meter, canceled FROM meter_events WHERE identifier = ? AND received > ? ORDER BY n DESC LIMIT 1",
        identifier, call.wall - _UNIQUE_FOR,
    )  # fmt: skip


def _check_unique(call: Call, identifier: str) -> None:
    if _find(call, identifier) is not None:
        raise StripeError(
            f"An event already exists with identifier {identifier}.",
            code="duplicate_meter_event", param="identifier",
        )  # fmt: skip


@operation(
    "POST",
    "/v1/billing/meter_event_adjustments",
    Shape(
        {
            "cancel": Shape({"identifier": Text(100)}, required=("identifier",)),
            "event_name": Text(100),
            "type": Choice("cancel"),
        },
        required=("event_name", "type"),
    ),
)
def adjust(call: Call, params: Params) -> Object:
    """Within 24 hours of its receipt an event can be canceled; here that is done at once."""
    if "cancel" not in params:
        raise StripeError("Missing required param: cancel.", code="parameter_missing", param="cancel")
    meter = _meter(call, params["event_name"])
    identifier = params["cancel"]["identifier"]
    found = _find(call, identifier)
    if found is None or found[1] != meter["id"] or found[2]:
        raise StripeError(f"No such meter event: '{identifier}'", code="resource_missing", param="cancel[identifier]")
    call.store.run("UPDATE meter_events SET canceled = 1 WHERE n = ?", found[0])
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": meter["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }
