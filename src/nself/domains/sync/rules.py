"""Pure: why an object is not here what it is at Stripe, and what is to be done."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from nself.domains.mirror.model import Change, FieldChange, Picture, Snapshot, Stored
from nself.domains.sync.model import Action, Cause, Evidence, Finding, Run

MONEY = frozenset(
    {
        "amount", "amount_captured", "amount_due", "amount_overpaid", "amount_paid", "amount_received", "amount_refunded",
        "amount_remaining", "balance", "credit_balance", "ending_balance", "starting_balance", "subtotal",
        "subtotal_excluding_tax", "total", "total_excluding_tax", "unit_amount", "unit_amount_decimal",
    }
)  # fmt: skip
"""Fields that tell money."""
FIXED = frozenset({"invoice", "payment_intent", "charge", "refund", "credit_note"})
"""Kinds whose amounts nobody can change by hand."""
PRICE_OF_ITEM = re.compile(r"items\.[^.]+\.(price|plan)\.(?!id$).+")
"""A field of the price that a subscription's item shows; another price is a change of the item."""
SUMMED = {"invoice": ("total", "amount_paid"), "payment_intent": ("amount_received",), "refund": ("amount",)}
"""Amounts whose sums here and at Stripe are compared at the end of a run."""

STILL = timedelta(minutes=1)
"""A run that has not moved for that long stands still."""
TOO_LONG = timedelta(hours=1)
"""What a run may still need at its rate."""
REASONS: dict[Literal["network", "rate", "memory"], tuple[str, ...]] = {
    "network": ("api_connection_error:", "circuit_open:"),
    "rate": ("rate_limit:",),
    "memory": ("MemoryError:",),
}
"""Beginnings of the error of a run."""
NO_CONNECTION = ("get a connection", "too many clients", "connection slots")
"""What the pool and the server say when no connection is left."""


class Broken(NamedTuple):
    """A run that did not come to its end, and why."""

    why: Literal["network", "rate", "pool", "memory", "records"]
    text: str
    sure: bool


def broken(run: Run, alive: bool, expected: int, now: datetime) -> Broken | None:
    """None where it is done, moves on, or was ended by whoever began it. `alive`: somebody works at it; `expected`: objects in all."""
    if run.state == "done":
        return None
    at = f"run {run.id} ({run.purpose}) came to {run.kind}, {run.checked} objects, at {run.moved_at:%Y-%m-%d %H:%M:%SZ}"
    held = run.state == "stopped" or not alive or now - run.moved_at > STILL
    if held and run.error and (why := _why(run.error)):
        return Broken(why, f"{at}: {run.error}", True)
    if run.purpose == "auto":  # it rests between its shares, and goes on by itself
        return None
    if run.state == "running" and not alive and not run.error:
        return Broken("memory", f"{at}: its process was ended without a word", False)
    left = max(0, expected - run.checked) * (run.moved_at - run.started_at) // max(1, run.checked)
    if left > TOO_LONG:
        return Broken("records", f"{at}: {expected - run.checked} more would take {left // timedelta(hours=1)} h", True)
    return None


def _why(error: str) -> Literal["network", "rate", "pool", "memory"] | None:
    if error.startswith("database_unavailable:") and any(one in error for one in NO_CONNECTION):
        return "pool"
    for why, codes in REASONS.items():
        if error.startswith(codes):
            return why
    return None


def settled(cause: Cause, moving: bool, stuck: bool) -> bool:
    """Whether a difference is there to stay: no event is on its way, and none is tried again that failed a moment ago."""
    if cause in ("event waiting", "mode mixed"):
        return False
    return stuck if cause == "event failed" else cause == "local write lost" or not moving


OF_BALANCE = frozenset({"amount_due", "amount_remaining", "starting_balance"})


def follows_balance(one: Finding) -> bool:
    """Of a draft Stripe tells what the customer's balance makes of it at the moment, and no event when that changes."""
    if one.kind != "invoice" or one.action != "update" or one.picture is None:
        return False
    return (
        one.picture.snapshot.get("status") == "draft" and {str(found["field"]) for found in one.changes} <= OF_BALANCE
    )


def finding(before: Stored | None, change: Change, evidence: Evidence, complete: bool) -> Finding:
    """Why `change` was needed. `complete`: everything of Stripe's was read at least once."""
    money = any(_is_money(one) for one in change.fields)
    cause, detail = _cause(before, change, evidence, complete, money)
    actions: dict[str, Action] = {"created": "import", "updated": "update", "deleted": "mark deleted"}
    return Finding(
        kind=change.kind,
        id=change.id,
        cause=cause,
        detail=detail,
        action=actions[change.what],
        money=money,
        changes=[msgspec.to_builtins(one) for one in change.fields],
        picture=change.picture,
    )


def _cause(before: Stored | None, change: Change, evidence: Evidence, complete: bool, money: bool) -> tuple[Cause, str]:
    if before is not None and before.livemode != change.livemode:
        return "mode mixed", f"here it is of {'live' if before.livemode else 'test'} mode"
    if evidence.failed:
        return "event failed", evidence.failed
    if evidence.missed:
        return "event missing", f"{evidence.missed} never arrived; it was found in Stripe's list"
    if evidence.waiting:
        return "event waiting", f"{evidence.waiting} is still to be processed"
    if before is None:
        if evidence.known:
            return "deleted locally", "it was stored here before; its row is gone"
        if not complete:
            return "not imported yet", "the first synchronisation had not come to it"
        return "event missing", "no event of it ever arrived"
    if before.deleted:
        return "local write lost", "its row says that it was deleted at Stripe, and Stripe has it"
    if not before.intact:
        return "local write lost", "its row is not what was written from Stripe's answer"
    if evidence.number and evidence.number > before.number:
        return "local write lost", "a newer picture of it was stored here before its row"
    if change.what == "deleted":
        return "deleted at Stripe", "no event told of it"
    if money and change.kind in FIXED:
        return "money total differs", "nobody can change these amounts by hand"
    if change.kind == "subscription" and all(PRICE_OF_ITEM.fullmatch(one.field) for one in change.fields):
        return (
            "follows its price",
            "Stripe shows the price inside it and tells of a change by an event of the price alone",
        )
    return "changed by hand", "no event tells of it: changed in the Dashboard, or by Stripe itself"


def _is_money(change: FieldChange) -> bool:
    return change.field.rpartition(".")[2] in MONEY


def add_totals(totals: dict[str, Any], kind: str, objects: Iterable[Snapshot]) -> dict[str, Any]:
    """`totals` with the amounts of `objects` added: `{"invoice total usd": minor units}`."""
    found = dict(totals)
    for one in objects:
        for name, amount in amounts(kind, one):
            found[name] = found.get(name, 0) + amount
    return found


def amounts(kind: str, snapshot: Snapshot) -> list[tuple[str, int]]:
    """What an object adds to the totals. Drafts may still change and are left out."""
    if snapshot.get("deleted") or snapshot.get("status") == "draft":
        return []
    return [
        (f"{kind} {field} {snapshot.get('currency')}", int(snapshot.get(field) or 0)) for field in SUMMED.get(kind, ())
    ]


def gone(kind: str, id: str, livemode: bool, number: int, source: str) -> Picture:
    """The picture of an object that Stripe does not have."""
    return Picture({"id": id, "object": kind, "deleted": True, "livemode": livemode}, number, source)
