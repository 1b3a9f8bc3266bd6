"""Subscriptions: created with their first invoice, cancelled at once. Renewals need a clock that advances."""

from typing import Any

from stripe_sandbox import collection
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.ledger import settle_currency
from stripe_sandbox.params import Boolean, Choice, Clearable, Integer, Items, Metadata, Shape, Text
from stripe_sandbox.periods import period_end
from stripe_sandbox.resource import (
    ABSENT,
    CREATED,
    Filter,
    Params,
    Resource,
    list_of,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources import subscription_money as money
from stripe_sandbox.resources import tax_rates
from stripe_sandbox.resources.invoices import begin
from stripe_sandbox.resources.line_items import LINE_ITEM, take_pending
from stripe_sandbox.resources.payment_methods import resolve_attached
from stripe_sandbox.resources.prices import amount_for, description
from stripe_sandbox.store import Condition, Object

_MOST_ITEMS = 20
_ENDED = ("canceled", "incomplete_expired")


def _price(call: Call, item: Object) -> Object:
    return call.show(call.load("price", item["_price"]))


SUBSCRIPTION_ITEM = register(
    Resource(
        kind="subscription_item",
        prefix="si",
        path="/v1/subscription_items",
        item="item",
        fields={
            "livemode": ABSENT,
            "billing_thresholds": None,
            "current_period_end": 0,
            "current_period_start": 0,
            "discounts": [],
            "metadata": {},
            "quantity": 1,
            "subscription": "",
            "_price": "",
            "_tax_rates": [],
        },
        references={"discounts": "discount"},
        embedded={"price": _price, "tax_rates": tax_rates.shown("_tax_rates")},
        oldest_first=True,
    )
)


def _items(call: Call, subscription: Object) -> Object:
    items = call.find("subscription_item", subscription=subscription["id"])
    return list_of(items, f"/v1/subscription_items?subscription={subscription['id']}")


SUBSCRIPTION = register(
    Resource(
        kind="subscription",
        prefix="sub",
        path="/v1/subscriptions",
        item="subscription_exposed_id",
        id_param="id",
        fields={
            "application": None,
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": 0,
            "billing_cycle_anchor_config": None,
            "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible"},
            "billing_schedules": [],
            "billing_thresholds": None,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "cancellation_details": {"comment": None, "feedback": None, "reason": None},
            "collection_method": "charge_automatically",
            "currency": "",
            "customer": "",
            "customer_account": None,
            "days_until_due": None,
            "default_payment_method": None,
            "default_source": None,
            "description": None,
            "discounts": [],
            "ended_at": None,
            "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
            "latest_invoice": None,
            "metadata": {},
            "next_pending_invoice_item_invoice": None,
            "on_behalf_of": None,
            "pause_collection": None,
            "payment_settings": {
                "payment_method_options": None,
                "payment_method_types": None,
                "save_default_payment_method": "off",
            },
            "pending_invoice_item_interval": None,
            "pending_setup_intent": None,
            "pending_update": None,
            "schedule": None,
            "start_date": 0,
            "status": "incomplete",
            "test_clock": None,
            "transfer_data": None,
            "trial_end": None,
            "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
            "trial_start": None,
            "_default_tax_rates": [],
        },
        references={
            "application": "application",
            "customer": "customer",
            "default_payment_method": "payment_method",
            "default_source": "card",
            "discounts": "discount",
            "latest_invoice": "invoice",
            "on_behalf_of": "account",
            "pending_setup_intent": "setup_intent",
            "schedule": "subscription_schedule",
            "test_clock": "test_helpers.test_clock",
        },
        embedded={"items": _items, "default_tax_rates": tax_rates.shown("_default_tax_rates")},
    )
)

_FIELDS = {
    **money.FIELDS,
    "cancel_at_period_end": Boolean(),
    "default_payment_method": Text(),
    "description": Clearable(Text(500)),
    "metadata": Metadata(),
}
_ITEM = Shape(
    {**money.ITEM_FIELDS, "price": Text(), "quantity": Integer(0), "metadata": Metadata()},
    required=("price",),
    defaults={"quantity": 1},
)


@operation(
    "POST",
    SUBSCRIPTION.path,
    Shape(
        {
            **_FIELDS,
            "collection_method": Choice("charge_automatically"),
            "customer": Text(),
            "items": Items(_ITEM, _MOST_ITEMS),
            "off_session": Boolean(),
            "payment_behavior": Choice("allow_incomplete", "default_incomplete", "error_if_incomplete"),
        },
        required=("customer", "items"),
    ),
)
def create(call: Call, params: Params) -> Object:
    customer = call.require("customer", params["customer"], param="customer")
    prices = _prices(call, params["items"])
    currency, recurring = prices[0]["currency"], prices[0]["recurring"]
    settle_currency(call, customer, currency)
    ends = period_end(call.now, recurring["interval"], recurring["interval_count"])
    kept = ("default_payment_method", "description", "metadata")
    fields: dict[str, Any] = {name: params[name] for name in kept if name in params}
    if "default_payment_method" in fields:
        fields["default_payment_method"] = _resolved(call, params, customer)
    if params.get("cancel_at_period_end"):
        fields |= _cancel_later(call, ends)
    fields |= money.fields(call, params, customer)
    now = {"billing_cycle_anchor": call.now, "start_date": call.now}
    subscription = call.create(SUBSCRIPTION, {**fields, **now, "currency": currency, "customer": customer["id"]})
    money.give_discounts(call, subscription, params, customer, currency)
    for at, (given, price) in enumerate(zip(params["items"], prices, strict=True)):
        made = {name: given[name] for name in ("quantity", "metadata") if name in given}
        period = {"current_period_start": call.now, "current_period_end": ends}
        made |= money.item_fields(call, given, f"items[{at}]")
        item = {**made, **period, "subscription": subscription["id"], "_price": price["id"]}
        money.give_discounts(call, call.create(SUBSCRIPTION_ITEM, item), given, customer, currency)
    _bill_first(call, subscription, customer, params.get("payment_behavior", "allow_incomplete"))
    return subscription


def _resolved(call: Call, params: Params, customer: Object) -> str:
    return resolve_attached(call, params["default_payment_method"], customer, param="default_payment_method")["id"]


def _prices(call: Call, items: list[Params]) -> list[Object]:
    if not items:
        raise StripeError("Missing required param: items.", code="parameter_missing", param="items")
    prices = [call.require("price", item["price"], param=f"items[{index}][price]") for index, item in enumerate(items)]
    for index, price in enumerate(prices):
        at = f"items[{index}][price]"
        if price["recurring"] is None:
            raise StripeError(
                "The price specified is set to `type=one_time` but this field only accepts prices with"
                " `type=recurring`.",
                param=at,
            )
        if not price["active"]:
            raise StripeError("The price specified is inactive. This field only accepts active prices.", param=at)
        if price["currency"] != prices[0]["currency"]:
            raise StripeError("All prices on a subscription must have the same currency.", param=at)
        if price["recurring"] != prices[0]["recurring"]:
            raise unsupported("prices of different intervals on one subscription")
    return prices


def _bill_first(call: Call, subscription: Object, customer: Object, behavior: str) -> None:
    """The first invoice is made, finalised and, unless the caller wants to confirm it, paid."""
    invoice = begin(
        call,
        customer,
        {
            "billing_reason": "subscription_create",
            "currency": subscription["currency"],
            "parent": {
                "quote_details": None,
                "subscription_details": {"metadata": subscription["metadata"], "subscription": subscription["id"]},
                "type": "subscription_details",
            },
            "_subscription": subscription["id"],
        },
    )
    take_pending(call, invoice)
    for item in reversed(call.find("subscription_item", subscription=subscription["id"])):
        call.create(LINE_ITEM, _line(call, item, invoice))
    call.change(invoice, collection.totals(call, invoice))
    call.change(subscription, {"latest_invoice": invoice["id"]})
    call.emit("customer.subscription.created", subscription)
    call.emit("invoice.created", invoice)
    collection.finalize(call, invoice)
    if invoice["status"] == "open" and behavior != "default_incomplete":
        _pay_first(call, invoice, behavior)
    subscription.update(call.load("subscription", subscription["id"]))


def _pay_first(call: Call, invoice: Object, behavior: str) -> None:
    try:
        collection.pay(call, invoice)
    except StripeError as error:
        if error.commits and behavior != "error_if_incomplete":
            return
        # Nothing of a subscription that could not be made stays, not even the declined charge.
        error.commits = False
        raise


def _line(call: Call, item: Object, invoice: Object) -> dict[str, Any]:
    price = call.load("price", item["_price"])
    product = call.load("product", price["product"])
    amount = amount_for(price, item["quantity"])
    return {
        "amount": amount,
        "currency": price["currency"],
        "description": description(price, product, item["quantity"]),
        "invoice": invoice["id"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"],
        "quantity_decimal": str(item["quantity"]),
        "subscription": item["subscription"],
        "subtotal": amount,
        **money.line_fields(call, item),
    }


@operation("POST", SUBSCRIPTION.item_path, Shape(_FIELDS))
def update(call: Call, params: Params) -> Object:
    subscription = call.addressed("subscription")
    if subscription["status"] in _ENDED and set(params) - {"metadata"}:
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    customer = call.load("customer", subscription["customer"])
    fields = {name: value for name, value in params.items() if name not in money.FIELDS}
    fields |= money.fields(call, params, customer)
    if "default_payment_method" in fields:
        fields["default_payment_method"] = _resolved(call, params, customer)
    if "cancel_at_period_end" in fields:
        ends = call.find("subscription_item", subscription=subscription["id"])[0]["current_period_end"]
        later = fields["cancel_at_period_end"]
        if later != subscription["cancel_at_period_end"]:
            fields |= _cancel_later(call, ends) if later else _NOT_CANCELLED
    money.give_discounts(call, subscription, params, customer, subscription["currency"])
    call.update(subscription, fields, "customer.subscription.updated")
    return subscription


_REASON = {"comment": None, "feedback": None, "reason": "cancellation_requested"}
_NOT_CANCELLED: dict[str, Any] = {
    "cancel_at": None,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "reason": None},
}


def _cancel_later(call: Call, ends: int) -> dict[str, Any]:
    return {
        "cancel_at": ends,
        "cancel_at_period_end": True,
        "canceled_at": call.now,
        "cancellation_details": _REASON,
    }


@operation("DELETE", SUBSCRIPTION.item_path)
def cancel(call: Call, params: Params) -> Object:
    subscription = call.addressed("subscription")
    if subscription["status"] in _ENDED:
        raise StripeError(
            f"No such subscription: '{subscription['id']}'", status=404, code="resource_missing", param="id"
        )
    cancel_now(call, subscription)
    return subscription


def cancel_now(call: Call, subscription: Object) -> None:
    changed = {
        "canceled_at": subscription["canceled_at"] or call.now,
        "cancel_at_period_end": False,
        "cancellation_details": _REASON,
        "ended_at": call.now,
        "status": "canceled",
    }
    if subscription["status"] == "incomplete":
        _void_first(call, subscription)
    call.change(subscription, changed)
    call.emit("customer.subscription.deleted", subscription)


def _void_first(call: Call, subscription: Object) -> None:
    invoice = call.load("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        collection.void(call, invoice)


_NOT_CANCELED = "not canceled"  # what a list without a status shows


def _with_status(call: Call, status: str) -> Condition:
    if status == "all":
        return Condition("TRUE")
    if status == _NOT_CANCELED:
        return Condition("data ->> '$.status' <> 'canceled'")
    if status == "ended":
        return Condition("data ->> '$.status' IN ('canceled', 'incomplete_expired')")
    return Condition("data ->> '$.status' = ?", (status,))


def _with_price(call: Call, price: str) -> Condition:
    return Condition(
        "id IN (SELECT data ->> '$.subscription' FROM objects"
        " WHERE kind = 'subscription_item' AND data ->> '$._price' = ?)",
        (price,),
    )


_STATUSES = Choice(
    "active", "all", "canceled", "ended", "incomplete", "incomplete_expired", "past_due", "paused", "trialing", "unpaid"
)

retrievable(SUBSCRIPTION)
listable(
    SUBSCRIPTION,
    {
        **CREATED,
        "customer": matches("customer"),
        "price": Filter(Text(), _with_price),
        "status": Filter(_STATUSES, _with_status),
    },
    defaults={"status": _NOT_CANCELED},
)
