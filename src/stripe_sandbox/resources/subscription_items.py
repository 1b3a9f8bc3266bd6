"""Subscription items: what a subscription is made of. Changing one is changing its subscription."""

from stripe_sandbox.billing import changes
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError
from stripe_sandbox.params import Boolean, Choice, Integer, Metadata, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    ABSENT,
    PAGE,
    Params,
    Resource,
    operation,
    page,
    register,
    retrievable,
)
from stripe_sandbox.resources import subscription_money as money
from stripe_sandbox.resources import tax_rates
from stripe_sandbox.store import Object, equals


def _price(call: Call, item: Object) -> Object:
    return call.show(call.load("price", item["_price"]))


SUBSCRIPTION_ITEM = register(
    Resource(
        kind="subscription_item",
        prefix="si",
        path="/v1/subscription_items",
        item="item",
        title="subscription item",
        id_param="item",
        fields={
            "livemode": ABSENT,
            "billing_thresholds": None,
            "current_period_end": 0,
            "current_period_start": 0,
            "discounts": [],
            "metadata": {},
            "quantity": ABSENT,  # what is metered has none
            "subscription": "",
            "_billed_until": 0,  # metered usage before this instant was billed, or is not to be billed
            "_debits": [],  # what was debited in advance and not credited: amount, start, end, and its line or item
            "_price": "",
            "_tax_rates": [],
        },
        references={"discounts": "discount"},
        embedded={"price": _price, "tax_rates": tax_rates.shown("_tax_rates")},
        oldest_first=True,
    )
)

_FIELDS = {
    **money.ITEM_FIELDS,
    "metadata": Metadata(),
    "payment_behavior": changes.PAYMENT_BEHAVIOR,
    "price": Text(),
    "proration_behavior": changes.PRORATION_BEHAVIOR,
    "proration_date": Timestamp(),
    "quantity": Integer(0),
}
_OF_THE_ITEM = (*money.ITEM_FIELDS, "metadata", "price", "quantity")


def _change(call: Call, subscription: Object, item: Params, params: Params) -> None:
    options = {name: value for name, value in params.items() if name not in _OF_THE_ITEM}
    changes.change(call, subscription, {**options, "items": [item]})


def _owner(call: Call, item: Object) -> Object:
    return call.require("subscription", item["subscription"], param="subscription")


@operation("POST", SUBSCRIPTION_ITEM.path, Shape({**_FIELDS, "subscription": Text()}, required=("subscription",)))
def create(call: Call, params: Params) -> Object:
    if "price" not in params:
        raise StripeError("Missing required param: price.", code="parameter_missing", param="price")
    subscription = call.require("subscription", params.pop("subscription"), param="subscription")
    _change(call, subscription, {name: params[name] for name in _OF_THE_ITEM if name in params}, params)
    return call.find("subscription_item", subscription=subscription["id"])[-1]


@operation("POST", SUBSCRIPTION_ITEM.item_path, Shape({**_FIELDS, "off_session": Boolean()}))
def update(call: Call, params: Params) -> Object:
    item = call.addressed("subscription_item")
    wanted = {"id": item["id"], **{name: params[name] for name in _OF_THE_ITEM if name in params}}
    _change(call, _owner(call, item), wanted, params)
    return call.load("subscription_item", item["id"])


@operation(
    "DELETE",
    SUBSCRIPTION_ITEM.item_path,
    Shape(
        {
            "clear_usage": Boolean(),
            "payment_behavior": Choice("allow_incomplete", "default_incomplete", "error_if_incomplete"),
            "proration_behavior": changes.PRORATION_BEHAVIOR,
            "proration_date": Timestamp(),
        }
    ),
)
def delete(call: Call, params: Params) -> Object:
    item = call.addressed("subscription_item")
    clear = {"clear_usage": params.pop("clear_usage")} if "clear_usage" in params else {}
    _change(call, _owner(call, item), {"id": item["id"], "deleted": True, **clear}, params)
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


retrievable(SUBSCRIPTION_ITEM)


@operation("GET", SUBSCRIPTION_ITEM.path, Shape({**PAGE, "subscription": Text()}, required=("subscription",)))
def list_of_subscription(call: Call, params: Params) -> Object:
    subscription = call.require("subscription", params["subscription"], param="subscription")
    wanted = [equals("subscription", subscription["id"])]
    return page(call, SUBSCRIPTION_ITEM, params, wanted, SUBSCRIPTION_ITEM.path)
