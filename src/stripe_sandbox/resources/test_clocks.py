"""Test clocks: customers that live by a time of their own, which goes forward when it is told to.

https://docs.stripe.com/billing/testing/test-clocks
"""

from typing import Any

from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.params import Shape, Text, Timestamp
from stripe_sandbox.periods import boundary
from stripe_sandbox.resource import Params, Resource, listable, operation, register, retrievable
from stripe_sandbox.schedule import scheduled
from stripe_sandbox.store import Object, equals

_KEPT_FOR = 30 * 86_400
_MOST_INTERVALS = 2
_YEARS_WITHOUT_SUBSCRIPTIONS = 2

TEST_CLOCK = register(
    Resource(
        kind="test_helpers.test_clock",
        prefix="clock",
        path="/v1/test_helpers/test_clocks",
        item="test_clock",
        title="test clock",
        id_param="test_clock",
        fields={
            "deletes_after": 0,
            "frozen_time": 0,
            "name": None,
            "status": "ready",
            "status_details": {},
        },
    )
)


@operation(
    "POST",
    TEST_CLOCK.path,
    Shape({"customer": Text(), "frozen_time": Timestamp(), "name": Text(300)}, required=("frozen_time",)),
)
def create(call: Call, params: Params) -> Object:
    if "customer" in params:
        raise unsupported("taking an existing customer onto a test clock")
    clock = call.create(TEST_CLOCK, {**params, "deletes_after": call.wall + _KEPT_FOR})
    call.emit("test_helpers.test_clock.created", clock)
    return clock


@operation("POST", f"{TEST_CLOCK.item_path}/advance", Shape({"frozen_time": Timestamp()}, required=("frozen_time",)))
def advance(call: Call, params: Params) -> Object:
    """Only says where to go: the timeline goes there, and then the clock is `ready` again."""
    clock = call.addressed("test_helpers.test_clock")
    target, now = params["frozen_time"], clock["frozen_time"]
    if clock["status"] == "internal_failure":
        raise StripeError("The test clock has failed and can only be deleted.")
    if target <= now:
        raise StripeError("The frozen_time must be after the test clock's current frozen time.", param="frozen_time")
    if target > _furthest(call, clock):
        raise StripeError(
            "Cannot advance more than two intervals of the test clock's shortest subscription (two years when it has"
            " no subscription) into the future.",
            param="frozen_time",
        )
    details = {"advancing": {"target_frozen_time": target}}
    call.change(clock, {"status": "advancing", "status_details": details})
    call.emit("test_helpers.test_clock.advancing", clock)
    return clock


def _furthest(call: Call, clock: Object) -> int:
    now: int = clock["frozen_time"]
    cycles: list[dict[str, Any]] = [
        one["_cycle"]
        for one in call.find("subscription", test_clock=clock["id"])
        if one["status"] not in ("canceled", "incomplete_expired")
    ]
    reached = [boundary(now, cycle["interval"], cycle["interval_count"], _MOST_INTERVALS) for cycle in cycles]
    return min(reached, default=boundary(now, "year", 1, _YEARS_WITHOUT_SUBSCRIPTIONS))


@operation("DELETE", TEST_CLOCK.item_path)
def delete(call: Call, params: Params) -> Object:
    return _delete(call, call.addressed("test_helpers.test_clock"))


def _delete(call: Call, clock: Object) -> Object:
    """With it go the customers that live by it, and all that is theirs."""
    for customer in call.find("customer", test_clock=clock["id"]):
        for kind in ("subscription", "invoice", "invoiceitem", "payment_method"):
            for one in call.store.select(kind, [equals("customer", customer["id"])]):
                call.store.delete(one)
        call.store.delete(customer)
    return call.delete(clock, "test_helpers.test_clock.deleted")


@scheduled("test_helpers.test_clock", lambda clock: clock["deletes_after"])
def expire(call: Call, clock: Object) -> None:
    _delete(call, clock)


retrievable(TEST_CLOCK)
listable(TEST_CLOCK)
