"""Changes to a running subscription: items, trial, billing date; and what they credit and charge.

https://docs.stripe.com/billing/subscriptions/upgrade-downgrade and Stripe's document on POST /v1/subscriptions/{id}:
the billing date stays, unless the interval changes, free becomes paid, or a trial starts or ends; then the unused
time is credited, the new price charged at once and the billing date reset.
"""

from dataclasses import dataclass
from typing import Any

from stripe_sandbox.billing import invoicing, prorations, renewals, signup
from stripe_sandbox.billing.cycle import Period, current_period, full_period, items_of, set_period
from stripe_sandbox.billing.lines import charged, metered, price_of, put_advance, put_trial
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, no_such, unsupported
from stripe_sandbox.params import Choice
from stripe_sandbox.resource import Params
from stripe_sandbox.resources import subscription_money as money
from stripe_sandbox.store import Condition, Object, equals

PAYMENT_BEHAVIOR = Choice("allow_incomplete", "default_incomplete", "error_if_incomplete")
PRORATION_BEHAVIOR = Choice("always_invoice", "create_prorations", "none")


@dataclass(frozen=True)
class Wanted:
    """What is to become of one item; a new one has no item yet."""

    at: str
    given: Params
    item: Object | None
    price: Object

    @property
    def deleted(self) -> bool:
        return self.given.get("deleted", False)

    @property
    def changes_price(self) -> bool:
        """Or quantity, or whether it is there at all."""
        item = self.item
        return (
            item is None
            or self.deleted
            or self.price["id"] != item["_price"]
            or self.given.get("quantity", item.get("quantity")) != item.get("quantity")
        )


def change(call: Call, subscription: Object, params: Params) -> None:
    """With the event, and with the invoice that is made and paid at once, if any."""
    check_running(subscription, params)
    before = call.show(subscription)
    invoice = apply(call, subscription, params)
    finish(call, subscription, before, invoice, params)


def check_running(subscription: Object, params: Params) -> None:
    if subscription["status"] in ("canceled", "incomplete_expired"):
        raise StripeError("A canceled subscription can only update its cancellation_details and metadata.")
    if subscription["status"] == "incomplete" and {"items", "trial_end", "billing_cycle_anchor"} & set(params):
        raise StripeError("A subscription that is incomplete can only update its metadata and default source.")


def finish(call: Call, subscription: Object, before: Object, invoice: Object | None, params: Params) -> None:
    renewals.emit_difference(call, subscription, before)
    if invoice is not None:
        behavior = params.get("payment_behavior", "allow_incomplete")
        invoicing.advance_now(call, invoice, behavior)
        subscription.update(call.load("subscription", subscription["id"]))
        if invoice["status"] == "open" and subscription["status"] == "active":
            call.update(subscription, {"status": "past_due"}, "customer.subscription.updated")
    signup_notice = subscription["status"] == "trialing" and not subscription["_trial_notice_sent"]
    if signup_notice:
        signup.notify_at_once(call, subscription)


def apply(call: Call, subscription: Object, params: Params) -> Object | None:
    """Everything but events of the subscription; the invoice that must go out now."""
    wanted = _wanted(call, subscription, params.get("items", []))
    at = _proration_date(call, subscription, params)
    behavior = params.get("proration_behavior", "create_prorations")
    quiet = subscription["status"] in ("trialing", "paused")  # nothing was debited
    prorates = behavior != "none" and not quiet
    trial_end = _trial_end(call, subscription, params)
    restarts = _restarts(call, subscription, wanted, params, trial_end)
    if prorates:
        touched = items_of(call, subscription) if restarts else [w.item for w in wanted if w.item and w.changes_price]
        for item in touched:
            prorations.credit(call, subscription, item, at)
            if not _clears_usage(wanted, item):
                prorations.bill_usage(call, subscription, item, at)
    changed = _change_items(call, subscription, wanted)
    if restarts:
        return _restart(call, subscription, trial_end)
    if prorates:
        for item in changed:
            prorations.debit(call, subscription, item, at)
    return _invoice_now(call, subscription, at) if behavior == "always_invoice" and not quiet else None


def _wanted(call: Call, subscription: Object, given: list[Params]) -> list[Wanted]:
    items = {item["id"]: item for item in items_of(call, subscription)}
    found: list[Wanted] = []
    for number, one in enumerate(given):
        at = f"items[{number}]"
        item = items.get(one["id"]) if "id" in one else None
        if "id" in one and item is None:
            raise no_such("subscription item", one["id"], f"{at}[id]")
        if item is None and "price" not in one:
            raise StripeError(f"Missing required param: {at}[price].", code="parameter_missing", param=f"{at}[price]")
        if one.get("clear_usage") and not one.get("deleted"):
            raise unsupported("clear_usage of an item that stays")
        price = call.require("price", one["price"], param=f"{at}[price]") if "price" in one else None
        found.append(Wanted(at, one, item, price or price_of(call, item or {})))
    _check_together(call, list(items.values()), found)
    return found


def _check_together(call: Call, items: list[Object], wanted: list[Wanted]) -> None:
    gone = {w.item["id"] for w in wanted if w.item}
    after = [price_of(call, item) for item in items if item["id"] not in gone]
    after += [w.price for w in wanted if not w.deleted]
    if not after:
        raise StripeError("A subscription must have at least one active item.", param="items")
    if len(after) > signup.MOST_ITEMS:
        raise StripeError(f"A subscription can have at most {signup.MOST_ITEMS} items.", param="items")
    if len({price["id"] for price in after}) < len(after):
        raise StripeError("Cannot add multiple subscription items with the same price.", param="items")
    currency = price_of(call, items[0])["currency"]
    for w in wanted:
        if not w.deleted:
            if w.price["currency"] != currency:
                raise StripeError("All prices on a subscription must have the same currency.", param=f"{w.at}[price]")
            if w.item is None or w.price["id"] != w.item["_price"]:
                signup.check_price(w.price, after[-1], f"{w.at}[price]")
            signup.check_quantity(w.price, w.given, f"{w.at}[quantity]")
    if any(signup.cycle_of(price) != signup.cycle_of(after[0]) for price in after):
        raise unsupported("prices of different intervals on one subscription")


def _proration_date(call: Call, subscription: Object, params: Params) -> int:
    at: int = params.get("proration_date", call.now)
    period = current_period(subscription)
    if not period.start <= at <= period.end and subscription["status"] != "paused":
        raise StripeError(
            "Invalid proration_date: it must be within the subscription's current period.", param="proration_date"
        )
    return at


def _trial_end(call: Call, subscription: Object, params: Params) -> int | None:
    """The instant that was asked for; now ends the trial."""
    given = params.get("trial_end")
    if given is None:
        return None
    if given == "now":
        return call.now if subscription["status"] == "trialing" else None
    return signup.trial_until(call, {"trial_end": given})


def _restarts(call: Call, subscription: Object, wanted: list[Wanted], params: Params, trial_end: int | None) -> bool:
    trialing = subscription["status"] == "trialing"
    if trial_end is not None:
        return True
    if params.get("billing_cycle_anchor") == "now":
        if trialing:
            raise unsupported("billing_cycle_anchor=now in a trial")
        return True
    cycles = [signup.cycle_of(w.price) for w in wanted if not w.deleted]
    if cycles and cycles[0] != subscription["_cycle"]:
        return not trialing
    return not trialing and _from_free_to_paid(call, subscription, wanted)


def _from_free_to_paid(call: Call, subscription: Object, wanted: list[Wanted]) -> bool:
    items = items_of(call, subscription)
    if any(metered(price_of(call, item)) for item in items):
        return False
    if any(prorations.full_price(call, subscription, item) for item in items):
        return False
    period = full_period(subscription, call.now)
    return any(
        charged(call, subscription, w.price, w.given.get("quantity", (w.item or {}).get("quantity", 1)), period)
        for w in wanted
        if not w.deleted and not metered(w.price)
    )


def _clears_usage(wanted: list[Wanted], item: Object) -> bool:
    return any(w.item is not None and w.item["id"] == item["id"] and w.given.get("clear_usage") for w in wanted)


def _change_items(call: Call, subscription: Object, wanted: list[Wanted]) -> list[Object]:
    """Gives the items of which the time that remains must be charged."""
    customer = call.load("customer", subscription["customer"])
    changed: list[Object] = []
    for w in wanted:
        if w.item is None:
            changed.append(signup.add_item(call, subscription, customer, w.given, w.price, w.at))
            continue
        item = call.load("subscription_item", w.item["id"])
        if w.deleted:
            call.store.delete(item)
            continue
        if w.changes_price:
            changed.append(item)
        _change_item(call, subscription, customer, item, w)
    cycles = [signup.cycle_of(w.price) for w in wanted if not w.deleted]
    if cycles:
        call.change(subscription, {"_cycle": cycles[0]})
    return changed


def _change_item(call: Call, subscription: Object, customer: Object, item: Object, w: Wanted) -> None:
    fields: dict[str, Any] = {"_price": w.price["id"], **money.item_fields(call, w.given, w.at)}
    if "metadata" in w.given:
        fields["metadata"] = w.given["metadata"]
    if metered(w.price):
        item.pop("quantity", None)
        if w.changes_price:
            fields["_billed_until"] = call.now
    else:
        fields["quantity"] = w.given.get("quantity", item.get("quantity", 1))
    call.change(item, fields)
    money.give_discounts(call, item, w.given, customer, subscription["currency"])


def _restart(call: Call, subscription: Object, trial_end: int | None) -> Object | None:
    """A new period, or a trial, begins now."""
    old, trialing = current_period(subscription), subscription["status"] == "trialing"
    if trial_end is not None and trial_end > call.now:
        begun = {} if trialing else {"trial_start": call.now, "status": "trialing"}
        renews = {"billing_cycle_anchor": trial_end, "trial_end": trial_end, "_trial_notice_sent": False}
        call.change(subscription, {**renews, **begun})
        set_period(call, subscription, Period(old.start if trialing else call.now, trial_end))
        if trialing:
            return None
        invoice = invoicing.draft(call, subscription, "subscription_update", old)
        put_trial(call, subscription, invoice)
    else:
        ended = {"trial_end": call.now, "status": "active"} if trialing else {}
        if trialing:
            renewals.forget_usage(call, subscription, call.now)
        renewals.start_period(call, subscription, call.now, {**ended, "billing_cycle_anchor": call.now})
        invoice = invoicing.draft(call, subscription, "subscription_update", old)
        put_advance(call, subscription, invoice)
    invoicing.complete(call, subscription, invoice)
    return invoice


def _invoice_now(call: Call, subscription: Object, at: int) -> Object | None:
    if not waiting(call, subscription):
        return None
    period = Period(subscription["_period_start"], at)
    invoice = invoicing.draft(call, subscription, "subscription_update", period, own_only=True)
    invoicing.complete(call, subscription, invoice)
    return invoice


def waiting(call: Call, subscription: Object) -> list[Object]:
    """Invoice items of the subscription that no invoice has taken."""
    pending = Condition("data ->> '$.invoice' IS NULL")
    return call.store.select("invoiceitem", [equals("_subscription", subscription["id"]), pending])
