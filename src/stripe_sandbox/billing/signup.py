"""A new subscription: its first period or its trial, and its first invoice."""

from typing import Any

from stripe_sandbox import collection
from stripe_sandbox.billing import invoicing, renewals
from stripe_sandbox.billing.cycle import Period, full_period, set_period
from stripe_sandbox.billing.lines import metered, put_advance, put_trial
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.periods import boundary, period_end
from stripe_sandbox.resource import RESOURCES, Params
from stripe_sandbox.resources import subscription_money as money
from stripe_sandbox.store import Object

LONGEST_TRIAL = 730 * 86_400
MOST_ITEMS = 20


def trial_until(call: Call, params: Params) -> int | None:
    """When the trial that the parameters ask for ends."""
    if "trial_end" in params and "trial_period_days" in params:
        raise StripeError(
            "You may only specify one of these parameters: trial_end, trial_period_days.",
            code="parameters_exclusive", param="trial_end",
        )  # fmt: skip
    days = params.get("trial_period_days")
    if days is not None:
        return _checked(call, call.now + days * 86_400, "trial_period_days") if days else None
    given = params.get("trial_end", "now")
    return None if given == "now" else _checked(call, instant(given, "trial_end"), "trial_end")


def instant(text: str, param: str) -> int:
    if not text.isdecimal() or len(text) > 12:
        raise StripeError(f"Invalid integer: {text}", code="parameter_invalid_integer", param=param)
    return int(text)


def _checked(call: Call, ends: int, param: str) -> int:
    if ends > call.now + LONGEST_TRIAL:
        raise StripeError("The trial can be at most 730 days long.", param=param)
    if ends <= call.now:
        raise StripeError("Invalid timestamp: must be an integer Unix timestamp in the future.", param=param)
    return ends


def recurring_prices(call: Call, items: list[Params]) -> list[Object]:
    """The prices of a subscription's items, which go together."""
    if not items:
        raise StripeError("Missing required param: items.", code="parameter_missing", param="items")
    prices = [call.require("price", item["price"], param=f"items[{at}][price]") for at, item in enumerate(items)]
    for at, price in enumerate(prices):
        check_price(price, prices[0], f"items[{at}][price]")
        check_quantity(price, items[at], f"items[{at}][quantity]")
    if len({price["id"] for price in prices}) < len(prices):
        raise StripeError("Cannot add multiple subscription items with the same price.", param="items")
    return prices


def check_price(price: Object, other: Object, at: str) -> None:
    if price["recurring"] is None:
        raise StripeError(
            "The price specified is set to `type=one_time` but this field only accepts prices with"
            " `type=recurring`.",
            param=at,
        )  # fmt: skip
    if not price["active"]:
        raise StripeError("The price specified is inactive. This field only accepts active prices.", param=at)
    if price["currency"] != other["currency"]:
        raise StripeError("All prices on a subscription must have the same currency.", param=at)
    if cycle_of(price) != cycle_of(other):
        raise unsupported("prices of different intervals on one subscription")


def check_quantity(price: Object, given: Params, at: str) -> None:
    if metered(price) and "quantity" in given:
        raise StripeError("You cannot set the quantity of a metered price: it is what the meter says.", param=at)


def cycle_of(price: Object) -> dict[str, Any]:
    return {name: price["recurring"][name] for name in ("interval", "interval_count")}


def sign_up(call: Call, customer: Object, params: Params, prices: list[Object], fields: dict[str, Any]) -> Object:
    cycle, trial_end = cycle_of(prices[0]), trial_until(call, params)
    anchor = trial_end or _anchor(call, params, cycle)
    subscription = call.create(
        RESOURCES["subscription"],
        {
            **fields,
            "billing_cycle_anchor": anchor,
            "currency": prices[0]["currency"],
            "customer": customer["id"],
            "start_date": call.now,
            "status": "trialing" if trial_end else "incomplete",
            "trial_end": trial_end,
            "trial_start": call.now if trial_end else None,
            "_cycle": cycle,
        },
    )
    money.give_discounts(call, subscription, params, customer, subscription["currency"])
    for at, (given, price) in enumerate(zip(params["items"], prices, strict=True)):
        add_item(call, subscription, customer, given, price, f"items[{at}]")
    if trial_end:
        set_period(call, subscription, Period(call.now, trial_end))
    else:
        renewals.start_period(call, subscription, call.now, {})
    _bill_first(call, subscription, params)
    return subscription


def _anchor(call: Call, params: Params, cycle: dict[str, Any]) -> int:
    """A given anchor lies in the future, at most one interval away."""
    anchor = params.get("billing_cycle_anchor", call.now)
    if "trial_end" in params and anchor != call.now:
        raise unsupported("billing_cycle_anchor together with a trial")
    if anchor < call.now or anchor > boundary(call.now, cycle["interval"], cycle["interval_count"], 1):
        raise StripeError(
            "billing_cycle_anchor must be in the future and cannot be later than next natural billing date"
            f" ({period_end(call.now, cycle['interval'], cycle['interval_count'])}) for plan",
            param="billing_cycle_anchor",
        )
    return anchor


def add_item(call: Call, subscription: Object, customer: Object, given: Params, price: Object, at: str) -> Object:
    fields: dict[str, Any] = {"metadata": given["metadata"]} if "metadata" in given else {}
    if not metered(price):
        fields["quantity"] = given.get("quantity", 1)
    item = call.create(
        RESOURCES["subscription_item"],
        {
            **fields,
            **money.item_fields(call, given, at),
            "current_period_start": subscription["_period_start"],
            "current_period_end": subscription["_period_end"],
            "subscription": subscription["id"],
            "_billed_until": call.now,
            "_price": price["id"],
        },
    )
    money.give_discounts(call, item, given, customer, subscription["currency"])
    return item


def _bill_first(call: Call, subscription: Object, params: Params) -> None:
    """The first invoice is made, finalised and, unless the caller wants to confirm it, paid."""
    trialing = subscription["status"] == "trialing"
    invoice = invoicing.draft(call, subscription, "subscription_create", Period(call.now, call.now))
    if trialing:
        put_trial(call, subscription, invoice)
    elif _billable(call, subscription, params):
        put_advance(call, subscription, invoice)
    if not collection.lines_of(call, invoice):
        invoicing.discard(call, invoice)
        call.change(subscription, {} if trialing else {"status": "active"})
        call.emit("customer.subscription.created", subscription)
    else:
        invoicing.complete(call, subscription, invoice)
        call.emit("customer.subscription.created", subscription)
        invoicing.advance_now(call, invoice, params.get("payment_behavior", "allow_incomplete"))
        subscription.update(call.load("subscription", subscription["id"]))
    notify_at_once(call, subscription)


def _billable(call: Call, subscription: Object, params: Params) -> bool:
    """The time before a given anchor is free when it is not to be prorated."""
    whole = full_period(subscription, call.now)
    return whole.start == call.now or params.get("proration_behavior") != "none"


def notify_at_once(call: Call, subscription: Object) -> None:
    """A trial of less than three days is announced to end as soon as it begins."""
    if subscription["status"] == "trialing" and subscription["trial_end"] - renewals.TRIAL_NOTICE <= call.now:
        renewals.notify_of_trial(call, subscription)
