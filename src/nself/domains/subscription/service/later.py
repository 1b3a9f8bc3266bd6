"""Changes that wait for the period's end, by Stripe's subscription schedules; and what else they are in the way of."""

from __future__ import annotations

import hashlib

import msgspec

from nself import log
from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.db.connect import Tx
from nself.domains.connection.model import Intent, Snapshot, Wish
from nself.domains.connection.rules import items
from nself.domains.connection.service import change, intents
from nself.domains.mirror.model import Picture
from nself.domains.subscription import formulas
from nself.domains.subscription.errors import NothingToChange, NotSchedulable
from nself.domains.subscription.inputs import UpdateSubscription
from nself.domains.subscription.model import Done
from nself.domains.subscription.service import look
from nself.gateway.api import Stripe

SOURCE = "subscription update"
KIND = "subscription.schedule"
"""What is done to a schedule first; it settles with the wish for the change that it is done for."""
SCHEDULES = "subscription_schedules"


def at_period_end(app: App, given: UpdateSubscription) -> Done:
    """Price or quantity from the next period on, nothing prorated. Raises NotSchedulable, the gateway's errors."""
    for name in ("payment_method", "trial_end", "proration_date", "token"):
        if getattr(given, name) is not None:
            raise ExclusiveParameters("at_period_end", name)
    if given.price is None and given.quantity is None:
        raise NothingToChange(subscription=given.subscription)
    operation = change.turn(app, "subscription.later", given.subscription, _digest(given))  # before looking
    snapshot = look.running(look.fresh(app, given.subscription, SOURCE))
    id = snapshot["id"]
    if not _resumed(app, operation):
        wish = _wish(app, given, snapshot)
        if formulas.stands(snapshot, wish):
            return look.done(app, id, False, "is so already, nothing changed")
        if formulas.current(snapshot, wish):
            return keep(app, UpdateSubscription(subscription=id))
        _plan_change(app, operation, snapshot, wish)
        intents.drive_one(app, operation)
    pending = formulas.pending(look.fresh(app, id, SOURCE))
    log.info("subscription_update", subscription=id, operation=operation, pending=pending and pending.price)
    return look.done(app, id, True, formulas.told(id, pending) if pending else "")


def _digest(given: UpdateSubscription) -> str:
    return hashlib.sha256(msgspec.json.encode([given.price, given.quantity, given.item])).hexdigest()[:32]


def _resumed(app: App, operation: str) -> bool:
    """Whether it was begun before: it has come to its end then, with the step that Stripe refused tried again."""
    live = app.settings.live
    app.db.transact(lambda tx: intents.retry_failed(tx, [operation], [KIND, change.KIND], live))
    return change.finish(app, operation) is not None


def _wish(app: App, given: UpdateSubscription, snapshot: Snapshot) -> Snapshot:
    """What an item is to become, and how long a period then is, as JSON. Raises WhichItem, NoSuchPrice, NotSchedulable."""
    item = look.item_of(snapshot, given.item)
    reason = formulas.unfit(snapshot)
    if reason:
        raise NotSchedulable(subscription=snapshot["id"], price=given.price or "price_456", detail=reason)
    price = app.stripe.fetch("price", given.price) if given.price else item["price"]
    wish = formulas.wish(item, price, given.quantity)
    if len(items(snapshot, "items")) > 1 and formulas.lasts(price) != formulas.lasts(item["price"]):
        detail = "its items would have different intervals"
        raise NotSchedulable(subscription=snapshot["id"], price=price["id"], detail=detail)
    return wish


def _plan_change(app: App, operation: str, snapshot: Snapshot, wish: Snapshot) -> None:
    """Phases of the schedule that is there, or of one that is made first."""
    schedule, end = formulas.schedule(snapshot), formulas.period_end(snapshot)
    if schedule:
        params = formulas.params(schedule, end, wish)
        first = change.wish(operation, SCHEDULES, schedule["id"], params=params)
    else:
        then = {"path": [SCHEDULES], "wish": wish, "end": end}
        made = {"path": [SCHEDULES], "params": {"from_subscription": snapshot["id"]}, "remove": False, "then": then}
        first = Wish(operation, KIND, made)
    live = app.settings.live
    app.db.transact(lambda tx: change.plan(tx, first, live))


def keep(app: App, given: UpdateSubscription) -> Done:
    """What was to change at the period's end stays as it is."""
    if given.at_period_end:
        raise ExclusiveParameters("keep", "at_period_end")
    snapshot = look.running(look.fresh(app, given.subscription, SOURCE))
    id, pending, schedule = snapshot["id"], formulas.pending(snapshot), formulas.schedule(snapshot)
    if not pending or not schedule:
        return look.done(app, id, False, "nothing is to change at the end of its period")
    name = change.turn(
        app, "subscription.release", schedule["id"]
    )  # released once: the second one finds nothing pending
    change.change(app, name, SCHEDULES, schedule["id"], "release", params={})
    look.fresh(app, id, SOURCE)
    log.info("subscription_update", subscription=id, kept=True, schedule=schedule["id"])
    return look.done(app, id, True, f"stays as it is: it does not become {pending.price}")


def change_freed(app: App, operation: str, snapshot: Snapshot, params: Snapshot) -> str:
    """Change a subscription as `change.change` does; a schedule that manages it lets it go first, in the same operation.

    What that drops, in words: Stripe refuses or overrides such changes as long as a schedule runs.
    """
    schedule, pending = formulas.schedule(snapshot), formulas.pending(snapshot)
    if not schedule:
        change.change(app, operation, "subscriptions", snapshot["id"], params=params)
        return ""
    then = {"path": ["subscriptions", snapshot["id"]], "params": params, "remove": False}
    path = [SCHEDULES, schedule["id"], "release"]
    first, live = Wish(operation, KIND, {"path": path, "params": {}, "remove": False, "then": then}), app.settings.live
    app.db.transact(lambda tx: change.plan(tx, first, live))
    intents.drive_one(app, operation)
    look.fresh(app, snapshot["id"], SOURCE)
    return formulas.dropped(snapshot["id"], pending) if pending else ""


def call(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    """A schedule that is made from a subscription takes no mark: the subscription names it."""
    return stripe.change(*params["path"], params=params["params"], key=key)


def find(stripe: Stripe, intent: Intent) -> Snapshot | None:
    """The schedule that the subscription has, or that was released."""
    path = intent.params["path"]
    if len(path) > 1:
        return change.find(stripe, intent)
    return formulas.schedule(stripe.fetch("subscription", intent.params["params"]["from_subscription"]))


def settle(tx: Tx, intent: Intent, picture: Picture) -> bool:
    """The wish for what it was done for; phases go on from what the new schedule says of the one that runs."""
    then = intent.params["then"]
    if "wish" in then:
        found = formulas.params(picture.snapshot, then["end"], then["wish"])
        then = {"path": [SCHEDULES, picture.snapshot["id"]], "params": found, "remove": False}
    intents.follow(tx, intent, Wish(intent.operation, change.KIND, then, intent.step + 1))
    return True
