"""Marks by which an object at Stripe tells which intent made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from nself.domains.connection.model import Intent, Snapshot

MARK = "nself_intent"


def part(snapshot: Snapshot, name: str) -> Snapshot:
    """A nested object of a snapshot, empty where Stripe left it out."""
    return cast(Snapshot, snapshot.get(name) or {})


def items(snapshot: Snapshot, name: str) -> list[Snapshot]:
    """The data of a nested list of a snapshot."""
    return cast("list[Snapshot]", part(snapshot, name).get("data", []))


def marked(params: Snapshot, key: str) -> Snapshot:
    """`params` with the intent's key in the metadata, by which a lost outcome is found again."""
    return {**params, "metadata": {**part(params, "metadata"), MARK: key}}


def with_mark(made: Iterable[Snapshot], intent: Intent) -> Snapshot | None:
    """The object that `intent` made, among those that Stripe lists."""
    return next((one for one in made if part(one, "metadata").get(MARK) == intent.idempotency_key), None)


VERBS: dict[str, Callable[[Snapshot, Snapshot], bool]] = {
    "finalize": lambda one, _: one.get("status") != "draft",
    "pay": lambda one, _: one.get("status") == "paid",
    "void": lambda one, _: one.get("status") == "void",
    "mark_uncollectible": lambda one, _: one.get("status") == "uncollectible",
    "cancel": lambda one, _: one.get("status") == "canceled",
    "resume": lambda one, _: one.get("status") in ("active", "past_due"),
    "confirm": lambda one, _: one.get("status") in ("processing", "requires_action", "requires_capture", "succeeded"),
    "capture": lambda one, _: one.get("status") == "succeeded",
    "attach": lambda one, given: one.get("customer") == given["customer"],
    "detach": lambda one, _: one.get("customer") is None,
    "send": lambda one, _: False,
    "add_lines": lambda one, _: False,
    "remove_lines": lambda one, _: False,
    "update_lines": lambda one, _: False,
}
"""Last words of paths that are deeds, and whether an object shows that the deed was done."""
UNMARKED = frozenset({"tax_ids", "sessions"})
"""Collections whose objects bear no metadata."""


def marks(path: Sequence[str]) -> bool:
    """Whether a POST to `path` makes an object that can bear our mark."""
    return len(path) % 2 == 1 and path[-1] not in VERBS and path[-1] not in UNMARKED


def collected(path: Sequence[str]) -> bool:
    """Whether a POST to `path` makes an object that bears no mark: it is told by its fields."""
    return path[-1] in UNMARKED


def narrowed(path: Sequence[str], given: Snapshot, since: int) -> Snapshot:
    """Filters of the list in which an object made with `given` since then (Unix seconds) is found."""
    found: Snapshot = {name: given[name] for name in FILTERS.get(path[-1], ()) if name in given}
    if path[-1] != "subscription_items":  # whose list knows no time
        found["created"] = {"gte": since}
    return found | ({"status": "all"} if path[-1] == "subscriptions" else {})


FILTERS = {
    "customers": (),
    "subscriptions": ("customer",),
    "invoices": ("customer", "subscription"),
    "invoiceitems": ("customer", "invoice"),
    "payment_intents": ("customer",),
    "setup_intents": ("customer",),
    "refunds": ("charge", "payment_intent"),
    "credit_notes": ("invoice",),
    "prices": ("product",),
    "subscription_items": ("subscription",),
}


def repeatable(path: Sequence[str]) -> bool:
    """Whether doing it a second time does no harm, as Stripe refuses or ignores it."""
    return path[-1] in VERBS and path[-1] not in ("add_lines", "send")


def holds(path: Sequence[str], given: Snapshot, found: Snapshot, removed: bool) -> bool:
    """Whether an object shows that a change was made."""
    if removed:
        return bool(found.get("deleted")) or found.get("status") == "canceled"
    if path[-1] in VERBS:
        return VERBS[path[-1]](found, given)
    return not found.get("deleted") and all(_same(value, found[name]) for name, value in given.items() if name in found)


def _same(wanted: Any, found: Any) -> bool:
    """Parameters name objects by id and leave out what shall stay; items of a list are told by theirs."""
    if not isinstance(found, dict):
        return wanted == found or (wanted == "" and not found)
    one = cast("Snapshot", found)
    if "data" in one:
        by_id = {each["id"]: each for each in items({"list": one}, "list")}
        return all(
            each.get("id") in by_id and _same(each, by_id[each["id"]]) for each in cast("list[Snapshot]", wanted)
        )
    if isinstance(wanted, dict):
        return all(_same(value, one[name]) for name, value in cast("Snapshot", wanted).items() if name in one)
    return wanted == one.get("id")


def user_of(snapshot: Snapshot) -> Any:
    """The user that we wrote into an object's metadata, or None."""
    return part(snapshot, "metadata").get("nself_user")
