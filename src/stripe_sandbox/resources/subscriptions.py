"""Subscriptions: created with their first invoice, changed, paused, resumed, canceled."""

from typing import Any

from stripe_sandbox import collection
from stripe_sandbox.billing import changes, invoicing, prorations, renewals, signup, standing
from stripe_sandbox.billing.changes import PAYMENT_BEHAVIOR, PRORATION_BEHAVIOR
from stripe_sandbox.billing.cycle import Period, items_of
from stripe_sandbox.billing.lines import put_advance
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.ledger import settle_currency
from stripe_sandbox.params import Boolean, Choice, Clearable, Integer, Items, Metadata, Shape, Text, Timestamp
from stripe_sandbox.resource import (
    CREATED,
    Filter,
    Params,
    Resource,
    by_test_clock,
    list_of,
    listable,
    matches,
    operation,
    register,
    retrievable,
)
from stripe_sandbox.resources import subscription_money as money
from stripe_sandbox.resources import tax_rates
from stripe_sandbox.resources.payment_methods import resolve_attached
from stripe_sandbox.store import Condition, Object

_ITEMS_SHOWN = 10


def _items(call: Call, subscription: Object) -> Object:
    items = items_of(call, subscription)
    url = f"/v1/subscription_items?subscription={subscription['id']}"
    return list_of(items[:_ITEMS_SHOWN], url, has_more=len(items) > _ITEMS_SHOWN)


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
            "_cycle": {},
            "_default_tax_rates": [],
            "_period_end": 0,
            "_period_start": 0,
            "_resume_by": None,  # when the invoice of a resumption is given up
            "_resumption": None,  # that invoice
            "_trial_notice_sent": False,
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

_CANCEL_AT = Text()  # an instant, or the end of the period in words
_DETAILS = Shape(
    {
        "comment": Clearable(Text()),
        "feedback": Clearable(
            Choice(
                "customer_service", "low_quality", "missing_features", "other", "switched_service", "too_complex",
                "too_expensive", "unused",
            )
        ),
    }
)  # fmt: skip
_TRIAL_SETTINGS = Shape(
    {
        "end_behavior": Shape(
            {"missing_payment_method": Choice("cancel", "create_invoice", "pause")},
            required=("missing_payment_method",),
        )
    },
    required=("end_behavior",),
)
_FIELDS = {
    **money.FIELDS,
    "cancel_at": Clearable(_CANCEL_AT),
    "cancel_at_period_end": Boolean(),
    "collection_method": Choice("charge_automatically"),
    "default_payment_method": Text(),
    "description": Clearable(Text(500)),
    "metadata": Metadata(),
    "off_session": Boolean(),
    "payment_behavior": PAYMENT_BEHAVIOR,
    "payment_settings": Shape({"save_default_payment_method": Choice("off", "on_subscription")}),
    "proration_behavior": PRORATION_BEHAVIOR,
    "trial_end": Text(),
    "trial_settings": _TRIAL_SETTINGS,
}
_ITEM = {**money.ITEM_FIELDS, "price": Text(), "quantity": Integer(0), "metadata": Metadata()}
CHANGED_ITEMS = Items(Shape({**_ITEM, "clear_usage": Boolean(), "deleted": Boolean(), "id": Text()}))


@operation(
    "POST",
    SUBSCRIPTION.path,
    Shape(
        {
            **_FIELDS,
            "billing_cycle_anchor": Timestamp(),
            "billing_mode": Shape({"type": Choice("classic", "flexible")}, required=("type",)),
            "cancel_at": _CANCEL_AT,
            "customer": Text(),
            "items": Items(Shape(_ITEM, required=("price",)), signup.MOST_ITEMS),
            "trial_period_days": Integer(0),
        },
        required=("customer", "items"),
    ),
)
def create(call: Call, params: Params) -> Object:
    customer = call.require("customer", params["customer"], param="customer")
    return make(call, customer, params)


def make(call: Call, customer: Object, params: Params) -> Object:
    prices = signup.recurring_prices(call, params["items"])
    settle_currency(call, customer, prices[0]["currency"])
    fields = {**_plain(call, params, customer, None), **money.fields(call, params, customer)}
    if params.get("billing_mode", {}).get("type") == "classic":
        fields["billing_mode"] = {"flexible": None, "type": "classic"}
    subscription = signup.sign_up(call, customer, params, prices, fields)
    if "cancel_at" in params or params.get("cancel_at_period_end"):
        changed = _cancellation(call, subscription, params)
        call.update(subscription, changed, "customer.subscription.updated")
    return subscription


def _plain(call: Call, params: Params, customer: Object, subscription: Object | None) -> dict[str, Any]:
    """The parameters that are fields as they stand."""
    kept = ("description", "metadata", "pause_collection", "trial_settings")
    fields: dict[str, Any] = {name: params[name] for name in kept if name in params}
    if "default_payment_method" in params:
        fields["default_payment_method"] = resolve_attached(
            call, params["default_payment_method"], customer, param="default_payment_method"
        )["id"]
    if "payment_settings" in params:
        before = (subscription or SUBSCRIPTION.fields)["payment_settings"]
        fields["payment_settings"] = {**before, **params["payment_settings"]}
    if subscription is not None and "cancellation_details" in params:
        fields["cancellation_details"] = {**subscription["cancellation_details"], **params["cancellation_details"]}
    return fields


_UPDATE = {
    **_FIELDS,
    "billing_cycle_anchor": Choice("now", "unchanged"),
    "cancellation_details": _DETAILS,
    "items": CHANGED_ITEMS,
    "pause_collection": Clearable(
        Shape(
            {"behavior": Choice("keep_as_draft", "mark_uncollectible", "void"), "resumes_at": Timestamp()},
            required=("behavior",),
            defaults={"resumes_at": None},
        )
    ),
    "proration_date": Timestamp(),
}


@operation("POST", SUBSCRIPTION.item_path, Shape(_UPDATE))
def update(call: Call, params: Params) -> Object:
    subscription = call.addressed("subscription")
    change(call, subscription, params)
    return subscription


def change(call: Call, subscription: Object, params: Params) -> None:
    if set(params) - {"metadata", "cancellation_details"}:
        changes.check_running(subscription, params)
    if subscription["schedule"] and {"items", "trial_end", "billing_cycle_anchor"} & set(params):
        raise unsupported("a change of items or dates while a schedule runs (release it first)")
    customer = call.load("customer", subscription["customer"])
    before = call.show(subscription)
    fields = {**_plain(call, params, customer, subscription), **money.fields(call, params, customer)}
    call.change(subscription, {**fields, **_cancellation(call, subscription, params)})
    money.give_discounts(call, subscription, params, customer, subscription["currency"])
    invoice = changes.apply(call, subscription, params) if subscription["status"] not in standing.ENDED else None
    changes.finish(call, subscription, before, invoice, params)


_NOT_CANCELED: dict[str, Any] = {
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "cancellation_details": {"comment": None, "feedback": None, "reason": None},
}


def _cancellation(call: Call, subscription: Object, params: Params) -> dict[str, Any]:
    """When it is to end, in fields of the subscription; nothing when the parameters do not say."""
    ends = subscription["_period_end"]
    if subscription["schedule"] and (params.get("cancel_at_period_end") or params.get("cancel_at")):
        raise StripeError(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating any"
            " cancelation behavior directly is not allowed. Please update the schedule instead."
        )
    if "cancel_at_period_end" in params:
        later = params["cancel_at_period_end"]
        if later == subscription["cancel_at_period_end"]:
            return {}
        return (
            {**_canceled_at(call, subscription, params, ends), "cancel_at_period_end": True} if later else _NOT_CANCELED
        )
    if "cancel_at" not in params:
        return {}
    given: str | None = params["cancel_at"]
    if given is None:
        return _NOT_CANCELED
    if given in ("min_period_end", "max_period_end"):
        return _canceled_at(call, subscription, params, ends)
    at = signup.instant(given, "cancel_at")
    if at <= call.now:
        raise StripeError("cancel_at must be in the future.", param="cancel_at")
    if at < ends and params.get("proration_behavior", "create_prorations") != "none":
        raise unsupported("cancel_at before the current period's end, prorated (it does with proration_behavior=none)")
    return {**_canceled_at(call, subscription, params, at), "cancel_at_period_end": False}


def _canceled_at(call: Call, subscription: Object, params: Params, at: int) -> dict[str, Any]:
    details = {**subscription["cancellation_details"], **params.get("cancellation_details", {})}
    return {
        "cancel_at": at,
        "canceled_at": call.now,
        "cancellation_details": {**details, "reason": "cancellation_requested"},
    }


@operation(
    "DELETE",
    SUBSCRIPTION.item_path,
    Shape({"cancellation_details": _DETAILS, "invoice_now": Boolean(), "prorate": Boolean()}),
)
def cancel(call: Call, params: Params) -> Object:
    subscription = call.addressed("subscription")
    if subscription["status"] in standing.ENDED:
        raise StripeError(
            f"No such subscription: '{subscription['id']}'", status=404, code="resource_missing", param="id"
        )
    cancel_now(call, subscription, params)
    return subscription


def cancel_now(call: Call, subscription: Object, params: Params | None = None) -> None:
    wanted = params or {}
    details = {**subscription["cancellation_details"], **wanted.get("cancellation_details", {})}
    call.change(subscription, {"cancellation_details": details, "cancel_at_period_end": False})
    if subscription["status"] == "incomplete":
        invoice = call.load("invoice", subscription["latest_invoice"])
        if invoice["status"] == "open":
            collection.void(call, invoice)
    if wanted.get("prorate") and subscription["status"] not in ("incomplete", "trialing", "paused"):
        for item in items_of(call, subscription):
            prorations.credit(call, subscription, item, call.now)
    final = None
    if wanted.get("invoice_now"):
        period = Period(subscription["_period_start"], call.now)
        final = renewals.final_invoice(call, subscription, period, own_only=True)
    standing.end(call, subscription, "cancellation_requested", final)
    if final is not None:
        invoicing.advance_now(call, final, "allow_incomplete")


@operation("POST", "/v1/subscriptions/{subscription}/resume", Shape({"billing_cycle_anchor": Choice("now")}))
def resume(call: Call, params: Params) -> Object:
    """A new billing period begins now; the subscription runs again once its invoice is paid."""
    subscription = call.require("subscription", call.path["subscription"], param="subscription")
    if subscription["status"] != "paused":
        raise StripeError("Only a paused subscription can be resumed.", param="subscription")
    if subscription["_resumption"] is not None:
        raise StripeError("The subscription is being resumed already.", param="subscription")
    renewals.forget_usage(call, subscription, call.now)
    renewals.start_period(call, subscription, call.now, {"billing_cycle_anchor": call.now})
    invoice = invoicing.draft(call, subscription, "subscription_update", Period(call.now, call.now))
    put_advance(call, subscription, invoice)
    if not collection.lines_of(call, invoice):
        invoicing.discard(call, invoice)
        standing.resumed(call, subscription)
        return subscription
    invoicing.complete(call, subscription, invoice)
    given_up_at = call.now + renewals.INCOMPLETE_FOR
    call.change(subscription, {"_resumption": invoice["id"], "_resume_by": given_up_at})
    invoicing.advance_now(call, invoice, "allow_incomplete")
    return call.load("subscription", subscription["id"])


_ALL_BUT_CANCELED = "not canceled"  # what a list without a status shows


def _with_status(call: Call, status: str) -> Condition:
    if status == "all":
        return Condition("TRUE")
    if status == _ALL_BUT_CANCELED:
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
        "test_clock": Filter(Text(), by_test_clock),
        "price": Filter(Text(), _with_price),
        "status": Filter(_STATUSES, _with_status),
    },
    defaults={"status": _ALL_BUT_CANCELED},
    # Those of test clocks are only listed when their clock or their customer is named.
    complete=lambda params: params if "customer" in params else {"test_clock": None, **params},
)
