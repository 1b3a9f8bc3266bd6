"""Previews of invoices: what would be done is done, looked at, and undone. So a preview is what will come.

https://docs.stripe.com/api/invoices/create_preview
"""

from typing import Any

from stripe_sandbox import ids
from stripe_sandbox.billing import changes, renewals, standing
from stripe_sandbox.billing.invoicing import Previewed
from stripe_sandbox.call import Call
from stripe_sandbox.errors import StripeError, unsupported
from stripe_sandbox.params import Boolean, Choice, Clearable, Shape, Text, Timestamp
from stripe_sandbox.render import AS_SHOWN
from stripe_sandbox.resource import Params, list_of, operation
from stripe_sandbox.resources import subscriptions
from stripe_sandbox.store import Object

_DETAILS = Shape(
    {
        "billing_cycle_anchor": Text(),
        "billing_mode": Shape({"type": Choice("classic", "flexible")}, required=("type",)),
        "cancel_at": Clearable(Text()),
        "cancel_at_period_end": Boolean(),
        "cancel_now": Boolean(),
        "items": subscriptions.CHANGED_ITEMS,
        "proration_behavior": changes.PRORATION_BEHAVIOR,
        "proration_date": Timestamp(),
        "trial_end": Text(),
    }
)


class _Seen(Exception):
    """Carries what was seen out of the savepoint, which undoes the rest."""

    def __init__(self, invoice: Object) -> None:
        super().__init__()
        self.invoice = invoice


@operation(
    "POST",
    "/v1/invoices/create_preview",
    Shape(
        {
            "customer": Text(),
            "preview_mode": Choice("next"),
            "subscription": Text(),
            "subscription_details": _DETAILS,
        }
    ),
)
def create_preview(call: Call, params: Params) -> Object:
    details: Params = params.get("subscription_details", {})
    call.preview = True
    try:
        with call.store.savepoint():
            try:
                _bring_about(call, params, details)
            except Previewed as made:
                raise _Seen(_shown(call, made.invoice)) from None
    except _Seen as seen:
        return seen.invoice
    raise _none(params.get("customer"))


def _bring_about(call: Call, params: Params, details: Params) -> None:
    """Whatever makes the invoice, which ends this by `Previewed`."""
    if "subscription" in params:
        subscription = call.require("subscription", params["subscription"], param="subscription")
        if params.get("customer", subscription["customer"]) != subscription["customer"]:
            raise StripeError("The subscription does not belong to this customer.", param="subscription")
        _change(call, subscription, details)
        _renew(call, subscription)
        return
    if "customer" not in params:
        raise StripeError(
            "You must provide one of `customer` and `subscription`.", code="parameter_missing", param="customer"
        )
    customer = call.require("customer", params["customer"], param="customer")
    if "items" in details:
        behavior = {"payment_behavior": "default_incomplete"}
        subscriptions.make(call, customer, {**_of_a_new_one(details), **behavior})
        return
    running = [one for one in call.find("subscription", customer=customer["id"]) if _renews(one)]
    if running:
        _renew(call, min(running, key=lambda one: one["_period_end"]))


def _of_a_new_one(details: Params) -> Params:
    fields = dict(details)
    for at, item in enumerate(fields["items"]):
        if "price" not in item:
            raise StripeError(
                f"Missing required param: subscription_details[items][{at}][price].",
                code="parameter_missing",
                param=f"subscription_details[items][{at}][price]",
            )
    if "billing_cycle_anchor" in fields:
        raise unsupported("subscription_details[billing_cycle_anchor] for a new subscription")
    return fields


def _change(call: Call, subscription: Object, details: Params) -> None:
    if details.get("billing_cycle_anchor", "now") not in ("now", "unchanged"):
        raise unsupported("subscription_details[billing_cycle_anchor] other than now and unchanged")
    if "billing_mode" in details:
        raise unsupported("subscription_details[billing_mode] of a running subscription")
    if details.get("cancel_now"):
        prorate = details.get("proration_behavior", "create_prorations") != "none"
        subscriptions.cancel_now(call, subscription, {"invoice_now": True, "prorate": prorate})
    elif details:
        subscriptions.change(call, subscription, details)


def _renews(subscription: Object) -> bool:
    if subscription["status"] in (*standing.ENDED, "incomplete", "paused"):
        return False
    cancel_at = subscription["cancel_at"]
    return cancel_at is None or cancel_at > subscription["_period_end"]


def _renew(call: Call, subscription: Object) -> None:
    if _renews(subscription):
        call.now = subscription["_period_end"]
        renewals.renew(call, subscription)
    elif subscription["cancel_at"] is not None and subscription["status"] not in standing.ENDED:
        call.now = subscription["cancel_at"]
        renewals.cancel_when_due(call, subscription)


def _shown(call: Call, invoice: Object) -> Object:
    """With the ids of something that is not there."""
    identifier = ids.new_id("upcoming_in")
    shown: dict[str, Any] = {**call.show(invoice), "id": identifier, "billing_reason": "upcoming"}
    lines = [
        {**line, "id": ids.new_id("il_tmp"), "invoice": identifier}
        for line in (call.show(one) for one in call.find("line_item", invoice=invoice["id"]))
    ]
    shown[AS_SHOWN] = True
    shown["lines"] = list_of(lines[:10], f"/v1/invoices/{identifier}/lines", has_more=len(lines) > 10)
    return shown


def _none(customer: str | None) -> StripeError:
    about = f": {customer}" if customer else ""
    return StripeError(f"No upcoming invoices for customer{about}", status=404, code="invoice_upcoming_none")
