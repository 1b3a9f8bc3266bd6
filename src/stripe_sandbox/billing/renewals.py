"""What time does to a subscription: it expires, its trial ends, it renews, it is canceled.

https://docs.stripe.com/billing/subscriptions/overview and /billing/subscriptions/trials
"""

from typing import Any

from stripe_sandbox import collection
from stripe_sandbox.billing import invoicing, phases, standing
from stripe_sandbox.billing.cycle import Period, current_period, full_period, items_of, set_period
from stripe_sandbox.billing.lines import metered, price_of, put_advance, put_usage
from stripe_sandbox.call import Call
from stripe_sandbox.render import difference
from stripe_sandbox.resources.invoices import announce
from stripe_sandbox.schedule import scheduled
from stripe_sandbox.store import Condition, Object, equals

INCOMPLETE_FOR = 23 * 3600
TRIAL_NOTICE = 3 * 86_400


def due(subscription: Object) -> int | None:
    status = subscription["status"]
    if status == "incomplete":
        return subscription["created"] + INCOMPLETE_FOR
    if status == "paused":
        return subscription["_resume_by"]
    if status in standing.ENDED:
        return None
    instants = [subscription["_period_end"], subscription["cancel_at"]]
    if status == "trialing" and not subscription["_trial_notice_sent"]:
        instants.append(subscription["trial_end"] - TRIAL_NOTICE)
    pause = subscription["pause_collection"]
    instants.append(pause["resumes_at"] if pause else None)
    return min(at for at in instants if at is not None)


@scheduled("subscription", due)
def step(call: Call, subscription: Object) -> None:
    """The one thing that is due."""
    status, pause, now = subscription["status"], subscription["pause_collection"], call.now
    if call.load("customer", subscription["customer"]).get("deleted"):
        # Deleted by hand, past the operation that would have canceled it.
        standing.end(call, subscription, "cancellation_requested")
    elif status == "incomplete":
        expire(call, subscription)
    elif status == "paused":
        _give_up_resuming(call, subscription)
    elif pause and pause["resumes_at"] is not None and pause["resumes_at"] <= now:
        call.update(subscription, {"pause_collection": None}, "customer.subscription.updated")
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= now:
        cancel_when_due(call, subscription)
    elif subscription["_period_end"] <= now:
        _end_period(call, subscription)
    else:
        notify_of_trial(call, subscription)


def expire(call: Call, subscription: Object) -> None:
    """Nobody paid the first invoice."""
    invoice = call.load("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        collection.void(call, invoice)
    changed = {"status": "incomplete_expired", "ended_at": call.now}
    call.update(subscription, changed, "customer.subscription.updated")


def _give_up_resuming(call: Call, subscription: Object) -> None:
    invoice = call.load("invoice", subscription["_resumption"])
    if invoice["status"] == "open":
        collection.void(call, invoice)
    call.change(subscription, {"_resumption": None, "_resume_by": None})


def notify_of_trial(call: Call, subscription: Object) -> None:
    call.change(subscription, {"_trial_notice_sent": True})
    call.emit("customer.subscription.trial_will_end", subscription)


def cancel_when_due(call: Call, subscription: Object) -> None:
    """The last usage and the prorations that still wait are invoiced."""
    now = call.now
    period = Period(subscription["_period_start"], now)
    invoice = final_invoice(call, subscription, period) if subscription["status"] != "trialing" else None
    standing.end(call, subscription, "cancellation_requested", invoice)
    if invoice is not None:
        invoicing.advance_later(call, invoice)


def final_invoice(call: Call, subscription: Object, period: Period, *, own_only: bool = False) -> Object | None:
    """Nothing when nothing is left to be invoiced. It is not yet announced."""
    measured = any(metered(price_of(call, item)) for item in items_of(call, subscription))
    if not measured and not _waiting(call, subscription, own_only):
        return None
    invoice = invoicing.draft(call, subscription, "subscription_cycle", period, own_only=own_only)
    put_usage(call, subscription, invoice, period.end)
    invoicing.complete(call, subscription, invoice)
    return invoice


def _waiting(call: Call, subscription: Object, own_only: bool) -> bool:
    """Whether there are items that the subscription's last invoice is to take."""
    pending = [equals("customer", subscription["customer"]), Condition("data ->> '$.invoice' IS NULL")]
    owners = {subscription["id"]} if own_only else {subscription["id"], None}
    return any(
        item["_subscription"] in owners and item["currency"] == subscription["currency"]
        for item in call.store.select("invoiceitem", pending)
    )


def _end_period(call: Call, subscription: Object) -> None:
    ended = subscription["status"] == "trialing"
    behavior = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if ended and behavior != "create_invoice" and not can_pay(call, subscription):
        if behavior == "cancel":
            standing.end(call, subscription, "cancellation_requested")
        else:
            previous = call.record(subscription, {"status": "paused"})
            call.emit("customer.subscription.paused", subscription, previous)
            call.emit("customer.subscription.updated", subscription, previous)
        return
    renew(call, subscription)


def can_pay(call: Call, subscription: Object) -> bool:
    customer = call.load("customer", subscription["customer"])
    settings = customer.get("invoice_settings", {})
    return bool(subscription["default_payment_method"] or settings.get("default_payment_method"))


def renew(call: Call, subscription: Object) -> None:
    """The next period: what was used in the last one, and the new one in advance."""
    before = call.show(subscription)
    old, was_trial = current_period(subscription), subscription["status"] == "trialing"
    phases.begin_next(call, subscription)
    start_period(call, subscription, old.end, {"status": "active"} if was_trial else {})
    invoice = invoicing.draft(call, subscription, "subscription_cycle", old)
    if was_trial:
        forget_usage(call, subscription, old.end)
    else:
        put_usage(call, subscription, invoice, old.end)
    put_advance(call, subscription, invoice)
    if not collection.lines_of(call, invoice):
        invoicing.discard(call, invoice)
        emit_difference(call, subscription, before)
        return
    invoicing.complete(call, subscription, invoice)
    emit_difference(call, subscription, before)
    _advance(call, subscription, invoice)


def start_period(call: Call, subscription: Object, start: int, fields: dict[str, Any]) -> None:
    """From `start` to the next boundary, or to the end of the subscription if that comes first."""
    call.change(subscription, fields)
    end = full_period(subscription, start).end
    cancel_at = subscription["cancel_at"]
    if cancel_at is not None and start < cancel_at < end and not subscription["cancel_at_period_end"]:
        end = cancel_at
    if subscription["cancel_at_period_end"]:
        call.change(subscription, {"cancel_at": end})
    set_period(call, subscription, Period(start, end))


def forget_usage(call: Call, subscription: Object, until: int) -> None:
    """Usage in a trial is never billed."""
    for item in items_of(call, subscription):
        call.change(item, {"_billed_until": until})


def emit_difference(call: Call, subscription: Object, before: Object) -> None:
    previous = difference(before, call.show(subscription))
    if previous:
        call.emit("customer.subscription.updated", subscription, previous)


def _advance(call: Call, subscription: Object, invoice: Object) -> None:
    """As a rule by itself, in an hour."""
    pause = subscription["pause_collection"]
    if subscription["status"] == "unpaid" or (pause and pause["behavior"] == "keep_as_draft"):
        call.change(invoice, {"auto_advance": False})
        announce(call, invoice)
    elif pause:
        call.change(invoice, {"auto_advance": False})
        announce(call, invoice)
        collection.finalize(call, invoice)
        if invoice["status"] == "open":
            give_up = collection.void if pause["behavior"] == "void" else collection.mark_uncollectible
            give_up(call, invoice)
    else:
        invoicing.advance_later(call, invoice)
