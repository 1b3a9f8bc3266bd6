"""What an invoice's payment, or its failure, means for its subscription. Also how a subscription ends.

https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses
"""

from typing import Any

from stripe_sandbox.billing import phases
from stripe_sandbox.billing.policy import policy
from stripe_sandbox.call import Call
from stripe_sandbox.store import Object, equals

ENDED = ("canceled", "incomplete_expired")
_DAY = 86_400


def subscription_of(call: Call, invoice: Object) -> Object | None:
    identifier = invoice["_subscription"]
    found = call.look("subscription", identifier) if identifier else None
    return None if found is None or found.get("deleted") else found


def paid(call: Call, invoice: Object) -> None:
    _set_delinquent(call, invoice, False)
    subscription = subscription_of(call, invoice)
    if subscription is None:
        return
    _remember_method(call, subscription, invoice)
    status = subscription["status"]
    first = status == "incomplete" and invoice["billing_reason"] == "subscription_create"
    latest = status in ("past_due", "unpaid") and subscription["latest_invoice"] == invoice["id"]
    if first or latest:
        trialing = (subscription["trial_end"] or 0) > call.now
        call.update(
            subscription, {"status": "trialing" if trialing else "active"}, "customer.subscription.updated"
        )  # fmt: skip
    elif status == "paused" and subscription["_resumption"] == invoice["id"]:
        resumed(call, subscription)


def written_off(call: Call, invoice: Object) -> None:
    """A subscription is resumed even if the invoice of its resumption is given up."""
    _set_delinquent(call, invoice, False)
    subscription = subscription_of(call, invoice)
    if subscription is not None and subscription["status"] == "paused" and subscription["_resumption"] == invoice["id"]:
        resumed(call, subscription)


def _set_delinquent(call: Call, invoice: Object, delinquent: bool) -> None:
    """Stripe's document: true after an automatic attempt that failed, until an invoice is paid or written off."""
    customer = call.load("customer", invoice["customer"])
    if not customer.get("deleted") and customer["delinquent"] != delinquent:
        call.update(customer, {"delinquent": delinquent}, "customer.updated")


def _remember_method(call: Call, subscription: Object, invoice: Object) -> None:
    """`save_default_payment_method=on_subscription`: what paid becomes the subscription's default."""
    wanted = subscription["payment_settings"]["save_default_payment_method"] == "on_subscription"
    if not wanted or subscription["default_payment_method"] is not None:
        return
    for payment in call.find("invoice_payment", invoice=invoice["id"], status="paid"):
        intent = call.load("payment_intent", payment["payment"]["payment_intent"])
        method = call.look("payment_method", intent["payment_method"]) if intent["payment_method"] else None
        if method is not None and method.get("customer") == subscription["customer"]:
            found = {"default_payment_method": method["id"]}
            call.update(subscription, found, "customer.subscription.updated")


def resumed(call: Call, subscription: Object) -> None:
    previous = call.record(subscription, {"status": "active", "_resumption": None})
    call.emit("customer.subscription.resumed", subscription, previous)
    call.emit("customer.subscription.updated", subscription, previous)


def counted(call: Call, invoice: Object) -> dict[str, Any]:
    """The fields of an invoice after an attempt that failed.

    Stripe's document: any attempt counts as the first one, afterwards only automatic retries count.
    """
    attempts = attempt_count(call, invoice)
    fields: dict[str, Any] = {"attempt_count": attempts, "attempted": True}
    if invoice["auto_advance"] and invoice["billing_reason"] != "subscription_create" and (
        call.automatic or attempts > invoice["attempt_count"]
    ):  # fmt: skip
        days = policy(call.store).retry_after_days
        again = call.now + days[attempts - 1] * _DAY if attempts <= len(days) else None
        fields["next_payment_attempt"] = again
    return fields


def attempt_count(call: Call, invoice: Object) -> int:
    attempts: int = invoice["attempt_count"]
    return attempts + 1 if call.automatic or attempts == 0 else attempts


def failed(call: Call, invoice: Object) -> None:
    """After `counted`: the subscription is behind, and at the end of the retries it is given up."""
    if call.automatic:
        _set_delinquent(call, invoice, True)
    subscription = subscription_of(call, invoice)
    if subscription is None or subscription["status"] not in ("active", "past_due", "trialing"):
        return
    if subscription["status"] != "past_due":
        call.update(subscription, {"status": "past_due"}, "customer.subscription.updated")
    if not call.automatic or invoice["next_payment_attempt"] is not None:
        return
    match policy(call.store).then:
        case "cancel":
            end(call, subscription, "payment_failed")
        case "unpaid":
            call.update(subscription, {"status": "unpaid"}, "customer.subscription.updated")
        case "past_due":
            pass


def end(call: Call, subscription: Object, reason: str, final: Object | None = None) -> None:
    """It is never revived. Its invoices stay as they are, and are not collected by themselves any more, but for the
    `final` one, which is still to be announced."""
    details = subscription["cancellation_details"]
    changed = {
        "canceled_at": subscription["canceled_at"] or call.now,
        "cancellation_details": {**details, "reason": details["reason"] or reason},
        "ended_at": call.now,
        "status": "canceled",
    }
    for invoice in call.store.select("invoice", [equals("_subscription", subscription["id"])], oldest_first=True):
        is_final = final is not None and invoice["id"] == final["id"]
        if invoice["status"] in ("draft", "open") and invoice["auto_advance"] and not is_final:
            stopped = {"auto_advance": False, "automatically_finalizes_at": None, "next_payment_attempt": None}
            call.update(invoice, stopped, "invoice.updated")
    call.change(subscription, changed)
    phases.end_with(call, subscription)
    call.emit("customer.subscription.deleted", subscription)
