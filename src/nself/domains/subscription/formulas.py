"""Phases of a subscription's schedule: what it is to become, and what Stripe is told for it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from nself.domains.connection.rules import items, part
from nself.domains.mirror.model import Snapshot


class Pending(NamedTuple):
    """What a subscription becomes, and when."""

    price: str
    quantity: int | None
    at: datetime


def schedule(snapshot: Snapshot) -> Snapshot | None:
    """The schedule that manages a subscription; the mirror has it whole, but for rows of older versions."""
    found = snapshot.get("schedule")
    if not isinstance(found, dict):
        return None
    one = cast("Snapshot", found)
    return one if one["status"] in ("active", "not_started") else None


def pending(snapshot: Snapshot) -> Pending | None:
    """What the phase after the one that runs changes."""
    one = schedule(snapshot)
    if not one or snapshot.get("status") in ("canceled", "incomplete_expired"):
        return None
    end = part(one, "current_phase").get("end_date") or 0
    following = next((phase for phase in one["phases"] if phase["start_date"] >= end), None)
    if not following:
        return None
    now = [_told(item["price"]["id"], item) for item in items(snapshot, "items")]
    changed = [told for item in following["items"] if (told := _told(_id(item["price"]), item)) not in now]
    at = datetime.fromtimestamp(following["start_date"], UTC)
    return Pending(*changed[0], at) if changed else None


def _told(price: str, item: Snapshot) -> tuple[str, int | None]:
    return price, item.get("quantity")


def _id(price: Any) -> str:
    return str(cast("Snapshot", price)["id"] if isinstance(price, dict) else price)


def unfit(snapshot: Snapshot) -> str:
    """Why a change cannot wait for the end of the period; empty where it can."""
    if snapshot["status"] not in ("active", "trialing", "past_due"):
        return f"it is {snapshot['status']}"
    if snapshot.get("cancel_at"):
        return f"it ends before; undo that with nself billing subscription reactivate {snapshot['id']}"
    every = items(snapshot, "items")
    if snapshot.get("discounts") or any(one.get("discounts") for one in every):
        return "it has discounts of its own, which a schedule would not keep"
    if snapshot.get("default_tax_rates") or any(one.get("tax_rates") for one in every):
        return "it has tax rates of its own, which a schedule would not keep"
    if any(part(one["price"], "recurring").get("usage_type") == "metered" for one in every):
        return "it is billed by usage at Stripe"
    return ""


def period_end(snapshot: Snapshot) -> int:
    return min(one["current_period_end"] for one in items(snapshot, "items"))


def lasts(price: Snapshot) -> Snapshot:
    """How long a period is."""
    recurring = part(price, "recurring")
    return {name: recurring[name] for name in ("interval", "interval_count") if name in recurring}


def wish(item: Snapshot, price: Snapshot, quantity: int | None) -> Snapshot:
    """That an item becomes `quantity` of `price`; None: as many as it is."""
    many = item.get("quantity") if quantity is None else quantity
    return {"from": item["price"]["id"], "price": price["id"], "quantity": many, "duration": lasts(price)}


def stands(snapshot: Snapshot, wanted: Snapshot) -> bool:
    """Whether it is to become so already, or is so and nothing is to change."""
    found = pending(snapshot)
    if found:
        return (found.price, found.quantity) == (wanted["price"], wanted["quantity"])
    return current(snapshot, wanted)


def current(snapshot: Snapshot, wanted: Snapshot) -> bool:
    """Whether it is so now."""
    return any(
        (one["price"]["id"], one.get("quantity")) == (wanted["price"], wanted["quantity"])
        for one in items(snapshot, "items")
    )


def params(found: Snapshot, end: int, wanted: Snapshot) -> Snapshot:
    """Parameters of the schedule `found`: the phase that runs as it is until `end`, then one period of what is wanted.

    After that Stripe releases the subscription, which goes on as it then is.
    """
    start = part(found, "current_phase").get("start_date")
    now = next(phase for phase in found["phases"] if phase["start_date"] == start)
    kept: Snapshot = {}
    if now.get("default_payment_method"):
        kept["default_payment_method"] = _id(now["default_payment_method"])
    if part(now, "automatic_tax").get("enabled"):
        kept["automatic_tax"] = {"enabled": True}
    standing = [_item(_id(one["price"]), one.get("quantity")) for one in now["items"]]
    following = [
        _item(wanted["price"], wanted["quantity"]) if one["price"] == wanted["from"] else one for one in standing
    ]  # fmt: skip
    first = {**kept, "items": standing, "start_date": start, "end_date": end}
    if now.get("trial_end"):
        first["trial_end"] = now["trial_end"]
    then = {**kept, "items": following, "duration": wanted["duration"], "proration_behavior": "none"}
    return {"end_behavior": "release", "phases": [first, then]}


def _item(price: str, quantity: int | None) -> Snapshot:
    return {"price": price} if quantity is None else {"price": price, "quantity": quantity}


def undo(id: str) -> str:
    return f"nself billing subscription update {id} --keep"


def told(id: str, wanted: Pending) -> str:
    """What is said of a change that waits."""
    many = "" if wanted.quantity is None else f"{wanted.quantity} of "
    at = f"{wanted.at:%Y-%m-%dT%H:%M:%SZ}"
    return f"becomes {many}{wanted.price} at {at}, nothing is prorated; until then all stays; undo it with: {undo(id)}"


def dropped(id: str, lost: Pending) -> str:
    """What is said of a pending change that something else overtook, with how to have it again."""
    many = "" if lost.quantity is None else f" --quantity {lost.quantity}"
    again = f"nself billing subscription update {id} --price {lost.price}{many} --at-period-end"
    return f"the change to {lost.price} at {lost.at:%Y-%m-%dT%H:%M:%SZ} is dropped; again: {again}"
