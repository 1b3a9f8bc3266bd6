"""Events: what happened, as the object was at that moment, and to whom it must be delivered."""

from typing import TYPE_CHECKING

from stripe_sandbox import API_VERSION, deliveries
from stripe_sandbox.params import Boolean, Items, Text
from stripe_sandbox.resource import CREATED, Filter, Resource, listable, register, retrievable
from stripe_sandbox.store import Condition, Object

if TYPE_CHECKING:
    from stripe_sandbox.call import Call


def _pending_webhooks(call: "Call", event: Object) -> int:
    return deliveries.pending_of(call.store, event["id"])


EVENT = register(
    Resource(
        kind="event",
        prefix="evt",
        path="/v1/events",
        item="id",
        fields={"api_version": API_VERSION, "data": {}, "pending_webhooks": 0, "request": None, "type": ""},
        embedded={"pending_webhooks": _pending_webhooks},
    )
)


def emit(call: "Call", kind: str, shown: Object, previous: Object | None) -> Object:
    data: Object = {"object": shown}
    if previous is not None:
        data["previous_attributes"] = previous
    event = call.create(
        EVENT,
        {
            "created": call.wall,  # even where objects live by a test clock
            "data": data,
            "request": {"id": call.request_id, "idempotency_key": call.idempotency_key},
            "type": kind,
        },
    )
    deliveries.schedule(call, event)
    return event


def _of_type(call: "Call", value: str) -> Condition:
    return Condition("data ->> '$.type' GLOB ?", (value.replace("[", "[[]").replace("?", "[?]"),))


def _of_types(call: "Call", value: list[str]) -> Condition:
    return Condition(f"data ->> '$.type' IN ({', '.join('?' * len(value))})", tuple(value))


def _delivered(call: "Call", value: bool) -> Condition:
    undelivered = "EXISTS (SELECT 1 FROM deliveries d WHERE d.event = objects.id AND d.state <> 'delivered')"
    return Condition(f"NOT {undelivered}" if value else undelivered)


retrievable(EVENT)
listable(
    EVENT,
    {
        **CREATED,
        "type": Filter(Text(), _of_type),
        "types": Filter(Items(Text(), 20), _of_types),
        "delivery_success": Filter(Boolean(), _delivered),
    },
)
