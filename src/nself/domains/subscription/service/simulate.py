"""What a change costs: by our own calculation, and by Stripe's preview beside it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import InvalidParameter
from nself.domains.connection.rules import items
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import comparing, facts, prorations, store
from nself.domains.subscription.errors import MixedIntervals, NothingToChange
from nself.domains.subscription.inputs import PreviewChange, SimulateChange
from nself.domains.subscription.model import ChangeLine, KeptPreview, Preview, Simulation
from nself.domains.subscription.prorations import Facts, Outcome, Wish
from nself.domains.subscription.service import look
from nself.domains.subscription.service.update import PRORATION, lifetime, within

QUIET = "nothing is prorated: it is {status}"


def simulate(app: App, given: SimulateChange) -> Simulation:
    """Changes nothing, asks Stripe for what is. Raises NoSuchSubscription, NoSuchPrice, DateOutsidePeriod."""
    at = None if given.at is None else _instant(app, given.at)
    snapshot, known, wish = _begin(app, given, at)
    outcome = prorations.simulate(known, wish)
    currency = wish.price.currency
    return Simulation(
        subscription=snapshot["id"],
        status=snapshot["status"],
        billing_mode="classic" if known.classic else "flexible",
        proration_behavior=wish.behavior,
        at=_at(wish.at),
        price=wish.price.id,
        quantity=wish.quantity,
        change_minor=outcome.total,
        currency=currency,
        billed=_billed(outcome, wish.behavior),
        current_period_end=_at(outcome.end),
        next_invoice_minor=sum(one.amount for one in outcome.following)
        + (0 if _billed(outcome, wish.behavior) == "now" else outcome.total),
        note=_note(snapshot, known, outcome, wish),
        lines=[
            ChangeLine(
                kind=one.kind, price=one.price, quantity=one.quantity, start=_at(one.start), end=_at(one.end),
                amount_minor=one.amount, currency=currency, arithmetic=one.formula,
            )
            for one in (*outcome.lines, *outcome.following)
        ],
    )  # fmt: skip


def preview(app: App, given: PreviewChange) -> Preview:
    """Stripe's own preview beside ours, line by line; what it gives can be applied by its token. Raises as `simulate`."""
    snapshot, known, wish = _begin(app, given, given.proration_date)
    outcome = prorations.simulate(known, wish)
    invoice = app.stripe.preview(_preview_params(snapshot, known, wish))
    waiting = {one["id"] for one in look.pending(app, snapshot)}
    invoiced = wish.behavior == "always_invoice" and known.status not in prorations.QUIET
    at_once = outcome.restarts or (invoiced and bool(outcome.lines or waiting))
    found = comparing.compare(outcome, items(invoice, "lines"), wish, waiting, at_once)
    kept = KeptPreview(
        token=f"pvt_{secrets.token_hex(8)}",
        subscription=snapshot["id"],
        item=wish.item,
        price=wish.price.id,
        quantity=wish.quantity,
        behavior=wish.behavior,
        proration_date=_at(wish.at),
        state=facts.state(snapshot),
        made_at=app.clock(),
    )
    app.db.transact(lambda tx: store.add_preview(tx, kept, app.settings.live))
    log.info("proration", preview=kept.token, subscription=snapshot["id"], price=wish.price.id, proration_date=wish.at,
             ours=found.ours, stripe=found.theirs)  # fmt: skip
    return Preview(
        token=kept.token,
        valid_until=kept.made_at + lifetime(app),
        subscription=snapshot["id"],
        price=wish.price.id,
        quantity=wish.quantity,
        proration_behavior=wish.behavior,
        proration_date=kept.proration_date,
        change_minor=found.ours,
        stripe_change_minor=found.theirs,
        difference_minor=found.ours - found.theirs,
        currency=wish.price.currency,
        reason=found.reason,
        invoice_total_minor=invoice["total"],
        apply=f"nself billing subscription update {snapshot['id']} --token {kept.token}",
        lines=found.lines,
    )


def _begin(app: App, given: SimulateChange | PreviewChange, at: int | None) -> tuple[Snapshot, Facts, Wish]:
    if given.new_price is None and given.quantity is None:
        raise NothingToChange(subscription=given.subscription)
    snapshot = look.running(look.fresh(app, given.subscription, "subscription preview"))
    item = look.item_of(snapshot, given.item)
    price = look.price(app, given.new_price or item["price"]["id"])
    now = int(app.clock().timestamp())
    date = now if at is None else at
    within(snapshot, date, price.id)
    before = item.get("quantity")
    quantity = 0 if price.metered else given.quantity if given.quantity is not None else 1 if before is None else before
    known = look.gather(app, snapshot)
    if any(
        (one.price.interval, one.price.every) != (price.interval, price.every)
        for one in known.items
        if one.id != item["id"]
    ):
        raise MixedIntervals(price=price.id, every=f"{price.every} {price.interval}", subscription=snapshot["id"])
    wish = Wish(item["id"], price, cast("int", quantity), date, max(now, date), app.settings.text(PRORATION))
    return snapshot, known, wish


def _preview_params(snapshot: Snapshot, known: Facts, wish: Wish) -> dict[str, Any]:
    item: Snapshot = {"id": wish.item, "price": wish.price.id}
    if not wish.price.metered:
        item["quantity"] = wish.quantity
    details: Snapshot = {"items": [item], "proration_behavior": wish.behavior}
    if wish.behavior != "none" and known.status not in prorations.QUIET:
        details["proration_date"] = wish.at
    return {"subscription": snapshot["id"], "subscription_details": details}


def _instant(app: App, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 12:
        return int(text)
    at = period.instant(text, app.timezone, "at")
    if at < datetime(1970, 1, 1, tzinfo=UTC):
        raise InvalidParameter(f"Invalid date: {text[:40]} is before 1970", "at")
    return int(at.timestamp())


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _billed(outcome: Outcome, behavior: str) -> str:
    if outcome.restarts or (outcome.lines and behavior == "always_invoice"):
        return "now"
    return "with the next invoice"


def _note(snapshot: Snapshot, known: Facts, outcome: Outcome, wish: Wish) -> str:
    is_on = look.item_of(snapshot, wish.item)["price"]
    said: Sequence[str] = [
        "" if is_on["active"] else f"{is_on['id']} is no longer sold",
        QUIET.format(status=known.status) if known.status in prorations.QUIET else "",
        "a new period begins with the change" if outcome.restarts else "",
        "what is negative becomes credit for later invoices" if outcome.total < 0 else "",
        "usage until then is billed by Stripe's meter" if any(one.price.metered for one in known.items) else "",
        f"{PRORATION} is none" if wish.behavior == "none" else "",
    ]
    return "; ".join(one for one in said if one)
