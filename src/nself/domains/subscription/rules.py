"""Pure: a subscription as it is shown, and what there is to tell where an object became another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from nself.domains.connection.rules import items, part
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import facts, formulas
from nself.domains.subscription.model import (
    AskedTrial,
    Done,
    Effect,
    Item,
    Kept,
    Payment,
    ShownSubscription,
    Subscription,
)

TOLD = ("active", "past_due", "unpaid", "paused", "canceled")
"""Statuses whose beginning is told. `trialing` and `incomplete` are beginnings of the subscription itself."""
MAILED = {"canceled": "subscription_canceled", "unpaid": "subscription_unpaid", "paused": "subscription_paused"}
"""By these templates; `payment_failed` tells the others."""

NEAR = timedelta(hours=1)
DATED = ("end", "instant", "now")
"""Asked for by a date, whatever the price grants."""

# ---- Showing ----


def instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def listed(kept: Kept) -> Subscription:
    ends = [one["current_period_end"] for one in items(kept.snapshot, "items") if one.get("current_period_end")]
    return Subscription(
        id=kept.id,
        user=kept.user,
        customer=kept.customer,
        status=kept.status,
        items=len(items(kept.snapshot, "items")),
        current_period_end=instant(min(ends, default=None)),
        trial_end=instant(kept.snapshot.get("trial_end")),
        cancel_at=instant(kept.snapshot.get("cancel_at")),
        created_at=kept.created_at,
    )


def shown(kept: Kept, payment: Payment, trial_note: str = "") -> ShownSubscription:
    snapshot = kept.snapshot
    pending = formulas.pending(snapshot)
    return ShownSubscription(
        id=kept.id,
        user=kept.user,
        customer=kept.customer,
        status=kept.status,
        currency=snapshot.get("currency"),
        trial=_trial(snapshot),
        trial_start=instant(snapshot.get("trial_start")),
        trial_end=instant(snapshot.get("trial_end")),
        trial_note=trial_note,
        cancel=_cancel(snapshot),
        cancel_at=instant(snapshot.get("cancel_at")),
        cancel_at_period_end=bool(snapshot.get("cancel_at_period_end")),
        canceled_at=instant(snapshot.get("canceled_at")),
        cancel_reason=part(snapshot, "cancellation_details").get("reason"),
        cancel_note="",
        ended_at=instant(snapshot.get("ended_at")),
        pending_price=pending.price if pending else None,
        pending_quantity=pending.quantity if pending else None,
        pending_at=pending.at if pending else None,
        collection_method=snapshot.get("collection_method"),
        default_payment_method=snapshot.get("default_payment_method"),
        latest_invoice=snapshot.get("latest_invoice"),
        payment_intent=payment.payment_intent,
        payment_intent_status=payment.payment_intent_status,
        livemode=bool(snapshot.get("livemode")),
        created_at=kept.created_at,
        items=[_item(one) for one in items(snapshot, "items")],
        helps=_helps(kept, payment),
        source=kept.source,
        synced_at=kept.synced_at,
        api_version=kept.api_version,
        intact=kept.intact,
        deleted=kept.deleted,
    )


def _helps(kept: Kept, payment: Payment) -> list[str]:
    """Commands for a subscription that waits for money, is paused or is to end; none for one that simply runs."""
    if kept.status in ("incomplete", "past_due", "unpaid"):
        why = f"nself billing payments failures --customer {kept.customer}"
        if payment.payment_intent_status == "requires_action":
            why = f"nself billing payment-intent show {payment.payment_intent} --show-secret"
        return [why, f"nself billing subscription complete {kept.id}"]
    if kept.status == "paused" or (kept.status in ("active", "trialing") and kept.snapshot.get("cancel_at_period_end")):
        return [f"nself billing subscription reactivate {kept.id}"]
    return [formulas.undo(kept.id)] if formulas.pending(kept.snapshot) else []


def _trial(snapshot: Snapshot) -> Any:
    if snapshot.get("status") == "trialing":
        return "running"
    return "over" if snapshot.get("trial_start") else "none"


def trial_note(snapshot: Snapshot, asked: AskedTrial | None, now: datetime) -> str:
    """Where a trial is not what was asked, or not what the price grants."""
    has, began = instant(snapshot.get("trial_end")), instant(snapshot.get("trial_start"))
    if snapshot.get("status") in ENDED:
        return ""
    if asked and asked.wanted and asked.wanted > now and differs(asked.wanted, has):
        there = f"until {has:%Y-%m-%dT%H:%M:%SZ}" if has else "none"
        return f"until {asked.wanted:%Y-%m-%dT%H:%M:%SZ} was asked, Stripe has {there}"
    every = items(snapshot, "items")
    price = part(every[0], "price") if every else None
    days = facts.trial_days(price) if price else 0
    if not price or not days or (asked and asked.asked in DATED):
        return ""
    if has and began and snapshot.get("status") == "trialing":
        given = (has - began).days
        return "" if abs(given - days) <= 1 else f"{given} days, {price['id']} grants {days}"
    return "" if began or (asked and asked.asked == "none") else f"none was given, {price['id']} grants {days}"


def differs(wanted: datetime, has: datetime | None) -> bool:
    """Stripe counts a trial's days from when it is asked."""
    return has is None or abs(wanted - has) > NEAR


def _cancel(snapshot: Snapshot) -> Any:
    if snapshot.get("status") == "canceled":
        return "done"
    if snapshot.get("cancel_at_period_end"):
        return "at the end of the period"
    return "at a time" if snapshot.get("cancel_at") else "no"


def _item(one: Snapshot) -> Item:
    price = part(one, "price")
    recurring = part(price, "recurring")
    count, interval = recurring.get("interval_count") or 1, recurring.get("interval") or ""
    return Item(
        id=one["id"],
        price=price.get("id") or "",
        product=price.get("product"),
        quantity=one.get("quantity"),
        amount_minor=price.get("unit_amount"),
        currency=price.get("currency") or "",
        every=interval if count == 1 else f"{count} {interval}s",
        current_period_start=instant(one.get("current_period_start")),
        current_period_end=instant(one.get("current_period_end")),
    )


# ---- Changing ----

FEEDBACK = {"no-longer-needed": "unused", "switching-providers": "switched_service"}
"""Reasons whose name at Stripe is another one."""
ENDED = ("canceled", "incomplete_expired")


def done(snapshot: Snapshot, user: str | None, changed: bool, note: str, **more: Any) -> Done:
    return Done(
        id=snapshot["id"],
        user=user,
        customer=snapshot.get("customer"),
        status=snapshot["status"],
        changed=changed,
        note=note,
        items=[_item(one) for one in items(snapshot, "items")],
        trial_end=instant(snapshot.get("trial_end")),
        cancel_at=instant(snapshot.get("cancel_at")),
        ended_at=instant(snapshot.get("ended_at")),
        latest_invoice=snapshot.get("latest_invoice"),
        **more,
    )


# ---- Telling ----
# A key is made of what Stripe says and of nothing else, so that it is the same on whatever way a change was noticed.


def effects(kind: str, before: Snapshot | None, after: Snapshot) -> list[Effect]:
    """What there is to tell of an object that was `before`, or of one of which that is not known."""
    one = _EFFECTS[kind](before, after)
    return [one] if one else []


def _number(snapshot: Snapshot | None, name: str) -> int:
    return int((snapshot or {}).get(name) or 0)


def _subscription(before: Snapshot | None, after: Snapshot) -> Effect | None:
    status, was = after["status"], before and before["status"]
    if status not in TOLD or status == was:
        return None
    id, ended = after["id"], status == "canceled"
    return Effect(
        kind=f"subscription.{status}",
        key=f"{id} canceled" if ended else f"{id} {status} {after.get('latest_invoice')}",
        at=(after.get("ended_at") or after["created"]) if ended else after["created"],
        data=_subscription_data(after) | {"previous_status": was},
        final=ended,
        template=MAILED.get(status, ""),
    )


def _subscription_data(after: Snapshot) -> dict[str, Any]:
    names = ("id", "status", "customer", "latest_invoice", "cancel_at_period_end", "cancel_at", "ended_at", "trial_end")
    reason = part(after, "cancellation_details").get("reason")
    return {"object": "subscription", "cancel_reason": reason} | {name: after.get(name) for name in names}


def _invoice(before: Snapshot | None, after: Snapshot) -> Effect | None:
    status, attempts = after["status"], _number(after, "attempt_count")
    if status == "paid" and (before is None or before["status"] != "paid"):
        paid_at = part(after, "status_transitions").get("paid_at") or after["created"]
        return Effect("invoice.paid", f"{after['id']} paid", paid_at, invoice_data(after))
    if status == "open" and attempts > _number(before, "attempt_count"):
        return Effect(
            kind="payment_failed",
            key=f"{after['id']} payment_failed {attempts}",
            at=after["created"],
            data=invoice_data(after),
            template=_failed_mail(after),
        )
    return None


def _failed_mail(after: Snapshot) -> str:
    """None for the first invoice of a subscription: whoever subscribes is there, and sees it."""
    if after.get("billing_reason") == "subscription_create":
        return ""
    return "payment_failed" if after.get("next_payment_attempt") else "payment_failed_final"


def invoice_data(after: Snapshot) -> dict[str, Any]:
    """Of an invoice, what is told and what mails are filled with; money in minor units, times in seconds."""
    names = (
        "id", "number", "status", "customer", "currency", "total", "amount_due", "amount_paid", "amount_remaining",
        "attempt_count", "next_payment_attempt", "due_date", "hosted_invoice_url",
    )  # fmt: skip
    subscription = part(part(after, "parent"), "subscription_details").get("subscription")
    return {"object": "invoice", "subscription": subscription} | {name: after.get(name) for name in names}


def _charge(before: Snapshot | None, after: Snapshot) -> Effect | None:
    refunded = _number(after, "amount_refunded")
    if refunded <= _number(before, "amount_refunded"):
        return None
    names = ("id", "customer", "payment_intent", "currency", "amount", "amount_refunded", "refunded")
    data = {"object": "charge"} | {name: after.get(name) for name in names}
    return Effect("charge.refunded", f"{after['id']} refunded {refunded}", after["created"], data)


def _dispute(before: Snapshot | None, after: Snapshot) -> Effect | None:
    if before is not None:
        return None
    names = ("id", "charge", "payment_intent", "currency", "amount", "reason", "status")
    data = {"object": "dispute"} | {name: after.get(name) for name in names}
    return Effect("dispute.created", f"{after['id']} created", after["created"], data)


_EFFECTS: dict[str, Callable[[Snapshot | None, Snapshot], Effect | None]] = {
    "subscription": _subscription,
    "invoice": _invoice,
    "charge": _charge,
    "dispute": _dispute,
}


def trial_ends(snapshot: Snapshot, can_pay: bool) -> Effect:
    """`can_pay`: the customer has a payment method, also where the subscription has none of its own."""
    id, ends = snapshot["id"], snapshot["trial_end"]
    if snapshot.get("cancel_at_period_end") or (snapshot.get("cancel_at") or ends + 1) <= ends:
        then = "ends"
    elif can_pay or snapshot.get("default_payment_method"):
        then = "charged"
    else:
        then = "needs_payment_method"
    return Effect(
        kind="subscription.trial_will_end",
        key=f"{id} trial_will_end {ends}",
        at=ends,
        data=_subscription_data(snapshot) | {"then": then},
        template="trial_will_end",
    )
