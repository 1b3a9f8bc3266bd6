"""Single changes at Stripe: intents of the one kind `change`, told by path and parameters.

An operation's name makes a change happen once. It holds what the change is about and, where a person may want
the same again, something that tells the two apart: a state of the object, a key that was given, chance.
"""

from __future__ import annotations

import uuid
from typing import Any, cast

from nself.app import App
from nself.core.clock import wall_seconds
from nself.db.connect import Tx
from nself.domains.connection import rules, store
from nself.domains.connection.model import Intent, Snapshot, TooLate, Wish, Wished, operation_name
from nself.domains.connection.service import intents
from nself.gateway.api import Stripe
from nself.gateway.errors import IdempotencyMismatch, NoSuchObject
from nself.gateway.kinds import KINDS

KIND = "change"
TURNS = 20
SKEW = 3600
"""Seconds that our clock may be ahead of Stripe's."""
NAMES = {one.collection: name for name, one in KINDS.items()}


def change(app: App, operation: str, *path: str, params: Snapshot, remove: bool = False) -> str:
    """POST (DELETE where `remove`) below /v1, once for each name `operation`; the id of the object that Stripe answered with.

    It is in the mirror when this returns, where its kind is mirrored. Raises what Stripe refused for good, StillPending,
    and IdempotencyMismatch where the same name was used for something else.
    """
    app.require_stripe()
    one, livemode = wish(operation, *path, params=params, remove=remove), app.settings.live
    app.db.transact(lambda tx: plan(tx, one, livemode))
    return intents.drive_one(app, operation) or ""


def wish(operation: str, *path: str, params: Snapshot, remove: bool = False, step: int = 1) -> Wish:
    """For a transaction of the caller's own."""
    return Wish(operation, KIND, {"path": list(path), "params": params, "remove": remove}, step)


def plan(tx: Tx, one: Wish, livemode: bool) -> None:
    """Step: record the wish, or find it recorded. Raises IdempotencyMismatch where it was another."""
    if not intents.plan(tx, [one], livemode):
        stands = earlier(tx, one.operation, livemode, one.step)
        if stands is None or stands.params != one.params:
            raise IdempotencyMismatch


def earlier(tx: Tx, operation: str, livemode: bool, step: int = 1) -> Wished | None:
    """Step: what was wished for last under a name, whatever became of it."""
    return store.wished(tx, operation, step, livemode)


def once(app: App, *parts: object) -> str:
    """A name that is like no other: the operator wishes it now, whatever was wished before."""
    return operation_name(app.settings.live, *parts, uuid.uuid4().hex)


def turn(app: App, *parts: object) -> str:
    """The name of the next of equal wishes, `…:1`, `…:2`: those that were done have had their turn.

    Ask for it before looking whether the wish still has to be done: who looks later sees at least what was done before,
    and two who wish the same at once have the same name.
    """
    first = 1
    while True:
        names = [operation_name(app.settings.live, *parts, first + at) for at in range(TURNS)]
        done = {one.operation for one in intents.states(app, names) if one.state == "done"}
        for name in names:
            if name not in done:
                return name
        first += TURNS


def wished(app: App, operation: str) -> Snapshot | None:
    """What an operation that is open or done was to do: its path and parameters."""
    with app.db.reading() as tx:
        found = earlier(tx, operation, app.settings.live)
    return found.params if found and found.state != "failed" else None


def finish(app: App, operation: str) -> str | None:
    """The id that an operation that was begun before ends with; None where none was, or it failed. Raises as `change` does."""
    return intents.drive_one(app, operation) or "" if wished(app, operation) else None


def call(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    path, given = cast("list[str]", params["path"]), cast("Snapshot", params["params"])
    if params["remove"]:
        gone = stripe.remove(*path, params=given, key=key)
        # A canceled subscription stays; that it is gone is only what the gateway makes of a lost answer.
        return _object(stripe, path) if gone.get("deleted") and path[0] == "subscriptions" else gone
    return stripe.change(*path, params=rules.marked(given, key) if rules.marks(path) else given, key=key)


def find(stripe: Stripe, intent: Intent) -> Snapshot | None:
    """What the change made: something new by its mark, something old by its state.

    A change of fields that was not made is not made any more: a day later it may not be wanted.
    """
    path, given = cast("list[str]", intent.params["path"]), cast("Snapshot", intent.params["params"])
    late = intent.seconds_since_first_sent >= intents.KEY_LIFETIME
    if rules.marks(path):
        since = int(wall_seconds() - intent.seconds_since_first_sent - SKEW)
        made = rules.with_mark(stripe.listed(*path, **rules.narrowed(path, given, since)), intent)
        return None if made and made.get("last_payment_error") and not late else made
    if rules.collected(path):
        return next((one for one in stripe.listed(*path) if rules.holds(path, given, one, False)), None)
    found = _object(stripe, path)
    if rules.holds(path, given, found, bool(intent.params["remove"])):
        return found
    if late and not (rules.repeatable(path) or intent.params["remove"]):
        raise TooLate(operation=intent.operation)
    return None


def _object(stripe: Stripe, path: list[str]) -> Snapshot:
    """The object that a path is about, with `deleted` where it is gone."""
    kind, gone = NAMES.get(path[0]), {"id": path[1], "object": path[0].removesuffix("s"), "deleted": True}
    try:
        if len(path) > 3:  # customers/cus_/tax_ids/txi_
            listed: dict[str, Any] = {one["id"]: one for one in stripe.listed(*path[:3])}
            return listed.get(path[3], {**gone, "id": path[3]})
        return stripe.fetch(kind, path[1]) if kind else stripe.retrieve(path[0], path[1])
    except NoSuchObject:
        return gone
