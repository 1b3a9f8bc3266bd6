"""Changing a running subscription, as it was previewed where it was."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.domains.connection.rules import items
from nself.domains.connection.service import change
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import rules, store
from nself.domains.subscription.errors import (
    DateOutsidePeriod,
    NoSuchPreview,
    NothingToChange,
    OtherChange,
    PreviewExpired,
    PreviewOutdated,
)
from nself.domains.subscription.facts import state
from nself.domains.subscription.inputs import UpdateSubscription
from nself.domains.subscription.model import Done, KeptPreview, Requested
from nself.domains.subscription.service import later, look, payment, requests
from nself.domains.subscription.service.create import asked_by, trial_end

SOURCE = "subscription update"
PRORATION = "STRIPE_PRORATION_BEHAVIOR"


class Plan(NamedTuple):
    """What an item is to become, and as of when; `date` is None for Stripe's now."""

    item: str
    price: str
    quantity: int | None
    behavior: str
    date: int | None
    note: str = ""


def update(app: App, given: UpdateSubscription) -> Done:
    """Raises NoSuchSubscription, Canceled, what is wrong with a preview, the gateway's errors, PaymentFailed, RequiresAction."""
    if given.keep:
        return later.keep(app, given)
    if given.at_period_end:
        return later.at_period_end(app, given)
    wished = (given.price, given.quantity, given.payment_method, given.trial_end, given.token)
    if all(one is None for one in wished):
        raise NothingToChange(subscription=given.subscription)
    behavior = app.settings.text(PRORATION)
    ends = given.trial_end if given.trial_end in (None, "now") else trial_end(app, given.trial_end)
    operation = change.turn(app, "subscription.update", given.subscription, _digest(given, behavior))  # before looking
    snapshot = look.running(look.fresh(app, given.subscription, SOURCE))
    id, plan = snapshot["id"], _plan(app, given, snapshot, behavior)
    dropped = ""
    if change.finish(app, operation) is None:
        params = _params(given, snapshot, plan, behavior, ends)
        if not params:
            return look.done(app, id, False, "is so already, nothing changed")
        dropped = later.change_freed(app, operation, snapshot, params)
    after = look.stored(app, id)
    date = plan.date if plan else None
    _keep(app, given, after, plan, behavior, ends)
    if isinstance(ends, int):
        log.info("proration", subscription=id, behavior=behavior, trial_end=ends, zone=app.timezone.key)
    log.info("subscription_update", subscription=id, operation=operation, status=after["status"])
    if plan:
        log.info(
            "proration",
            subscription=id,
            price=plan.price,
            quantity=plan.quantity,
            behavior=plan.behavior,
            proration_date=date,
            zone=app.timezone.key,
        )
    if after.get("latest_invoice") != snapshot.get("latest_invoice"):
        payment.check(app, id, "The change is made, its invoice is not paid")
    prorated = plan is not None and plan.behavior != "none" and after["status"] != "trialing"
    return look.done(
        app, id, True, "; ".join(filter(None, (plan.note if plan else "", dropped))),
        proration_behavior=plan.behavior if plan else None,
        proration_date=rules.instant(date) if prorated else None,
    )  # fmt: skip


def _keep(
    app: App, given: UpdateSubscription, after: Snapshot, plan: Plan | None, behavior: str, ends: str | int | None
) -> None:
    """What was asked: `now` ends a trial, so none is to be there."""
    asked = "" if ends is None else "now" if ends == "now" else asked_by(given.trial_end or "")
    one = Requested(
        what="update", customer=after["customer"], subscription=after["id"], price=plan.price if plan else None, asked=asked,
        trial_end=rules.instant(ends) if isinstance(ends, int) else None, behavior=plan.behavior if plan else behavior,
    )  # fmt: skip
    requests.keep(app, one)


def _digest(given: UpdateSubscription, behavior: str) -> str:
    """Of the wish, but for its date: one that was begun is finished as it was begun."""
    wish = msgspec.structs.replace(given, proration_date=None)
    return hashlib.sha256(msgspec.json.encode([wish, behavior])).hexdigest()[:32]


def _plan(app: App, given: UpdateSubscription, snapshot: Snapshot, behavior: str) -> Plan | None:
    if given.token is None and given.price is None and given.quantity is None:
        return None
    if given.token is not None:
        return _previewed(app, given, snapshot)
    item = look.item_of(snapshot, given.item)
    price = given.price or item["price"]["id"]
    quantity = item.get("quantity") if given.quantity is None else given.quantity
    date, note = given.proration_date, ""
    last = _last_preview(app, snapshot, (item["id"], price, quantity or 0, behavior))
    if last and date is None:
        date, note = _seconds(last.proration_date), f"as of the preview {last.token}"
    elif last and date != _seconds(last.proration_date):
        note = (
            f"as of the date given; the preview {last.token} was of {_seconds(last.proration_date)}, amounts may differ"
        )
    if date is not None:
        within(snapshot, date, price)
    return Plan(item["id"], price, quantity, behavior, date, note)


def _last_preview(app: App, snapshot: Snapshot, wish: tuple[str, str, int, str]) -> KeptPreview | None:
    """The newest preview of the same change that still holds."""
    with app.db.reading() as tx:
        last = store.last_preview(tx, snapshot["id"], app.settings.live, app.clock() - lifetime(app))
    if last is None or (last.item, last.price, last.quantity, last.behavior) != wish or last.state != state(snapshot):
        return None
    return last


def _previewed(app: App, given: UpdateSubscription, snapshot: Snapshot) -> Plan:
    """Raises NoSuchPreview, PreviewExpired, PreviewOutdated, OtherChange."""
    assert given.token is not None
    with app.db.reading() as tx:
        found = store.preview(tx, given.token, snapshot["id"], app.settings.live)
    where = {"subscription": snapshot["id"], "token": given.token[:60], "price": given.price or "price_456"}
    if found is None:
        raise NoSuchPreview(**where)
    where["price"] = found.price
    if app.clock() >= found.made_at + lifetime(app):
        told = app.settings.text("BILLING_PREVIEW_LIFETIME")
        raise PreviewExpired(**where, made=f"{found.made_at:%Y-%m-%d %H:%M:%SZ}", lifetime=told)
    if given.price not in (None, found.price) or given.quantity not in (None, found.quantity):
        raise OtherChange(**where, quantity=found.quantity)
    if given.proration_date not in (None, _seconds(found.proration_date)) or given.item not in (None, found.item):
        raise OtherChange(**where, quantity=found.quantity)
    held = _held(snapshot, found)
    now = state(snapshot)
    changed = [name for name in {**now, **found.state} if now.get(name) != found.state.get(name)]
    if changed and not held:
        raise PreviewOutdated(**where, changed=", ".join(sorted(changed)))
    quantity = None if look.price(app, found.price).metered else found.quantity
    return Plan(
        found.item,
        found.price,
        quantity,
        found.behavior,
        _seconds(found.proration_date),
        f"as previewed: {found.token}",
    )


def _held(snapshot: Snapshot, found: KeptPreview) -> bool:
    """Whether what was previewed is so already: it was applied."""
    one = next((one for one in items(snapshot, "items") if one["id"] == found.item), None)
    return one is not None and (one["price"]["id"], one.get("quantity") or 0) == (found.price, found.quantity)


def lifetime(app: App) -> timedelta:
    return timedelta(seconds=app.settings.seconds("BILLING_PREVIEW_LIFETIME"))


def _seconds(at: datetime) -> int:
    return int(at.timestamp())


def within(snapshot: Snapshot, date: int, price: str) -> None:
    """Raises DateOutsidePeriod."""
    every = items(snapshot, "items")
    start, end = min(one["current_period_start"] for one in every), min(one["current_period_end"] for one in every)
    if not start <= date <= end:
        told = {name: f"{rules.instant(at):%Y-%m-%d %H:%M:%SZ}" for name, at in (("start", start), ("end", end))}
        raise DateOutsidePeriod(date=date, subscription=snapshot["id"], price=price, **told)


def _params(
    given: UpdateSubscription, snapshot: Snapshot, plan: Plan | None, behavior: str, ends: str | int | None
) -> Snapshot:
    """What is not so already; empty where everything is."""
    found: Snapshot = {}
    if plan:
        found |= _item_params(snapshot, plan)
    if given.payment_method and given.payment_method != snapshot.get("default_payment_method"):
        found["default_payment_method"] = given.payment_method
    if ends is not None and (snapshot["status"] == "trialing" if ends == "now" else ends != snapshot.get("trial_end")):
        found |= {"trial_end": ends, "proration_behavior": behavior}
    return found


def _item_params(snapshot: Snapshot, plan: Plan) -> Snapshot:
    item = look.item_of(snapshot, plan.item)
    if (item["price"]["id"], item.get("quantity")) == (plan.price, plan.quantity):
        return {}
    one: Snapshot = {"id": plan.item, "price": plan.price}
    if plan.quantity is not None:
        one["quantity"] = plan.quantity
    dated = {} if plan.date is None or plan.behavior == "none" else {"proration_date": plan.date}
    return {"items": [one], "proration_behavior": plan.behavior, **dated}
