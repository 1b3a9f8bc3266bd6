"""Several changes at Stripe one after another, as one operation: each settles with the next one's wish.

A run that is killed anywhere is finished by the worker, and a change that was made is not made again
(`connection.service.change`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.connection.model import Intent, PaymentQueued, Snapshot
from nself.domains.connection.rules import part
from nself.domains.connection.service import change, intents
from nself.domains.invoice import rules, store
from nself.domains.invoice.errors import NoSuchInvoice
from nself.domains.invoice.formulas import CHAIN, LOOK, REVISION_OF, Step
from nself.domains.invoice.service import current, steps
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.gateway.api import Stripe
from nself.gateway.kinds import KINDS


def run(app: App, operation: str, chain: Sequence[Step], invoice: str | None = None, strict: bool = False) -> str:
    """Take all steps, and have the invoice in the mirror as Stripe has it then, also where Stripe refused; its id.

    `invoice` None: one of the steps makes it. What stands under the name is gone on with; `strict`: it must be the same.
    Raises what Stripe refused for good, StillPending, IdempotencyMismatch.
    """
    app.require_stripe()
    livemode = app.settings.live
    app.db.transact(lambda tx: plan(tx, operation, chain, invoice, livemode, strict))
    return drive(app, operation, invoice)


def plan(
    tx: Tx, operation: str, chain: Sequence[Step], invoice: str | None, livemode: bool, strict: bool = False
) -> None:
    """Step: record the wish for the first; a step that Stripe refused is wished again."""
    first = steps.wish_of(operation, list(chain), invoice, 1)
    if strict:
        change.plan(tx, first, livemode)
    else:
        intents.plan(tx, [first], livemode)
    intents.retry_failed(tx, [operation], [CHAIN, LOOK], livemode)


def resume(app: App, operation: str, invoice: str | None = None) -> str:
    """Go on with what stands under a name: what is left of it, and the step that Stripe refused."""
    livemode = app.settings.live
    app.db.transact(lambda tx: intents.retry_failed(tx, [operation], [CHAIN, LOOK], livemode))
    return drive(app, operation, invoice)


def pending(app: App, operation: str) -> bool:
    """Whether somebody began it and it has not ended."""
    return any(one.state in ("pending", "queued") for one in intents.states(app, [operation]))


def begun(app: App, operation: str) -> bool:
    """Whether anything stands under a name."""
    return bool(intents.states(app, [operation]))


def made(app: App, operation: str) -> str | None:
    """The invoice that an operation made, once that has ended."""
    ended = any(one.state == "done" for one in intents.states(app, [operation]))
    return _made(app, operation) or None if ended else None


def drive(app: App, operation: str, invoice: str | None) -> str:
    """Bring an operation to its end; the id of the invoice, which the mirror has as Stripe has it."""
    try:
        intents.drive_one(app, operation)
    except PaymentQueued:
        raise
    except BillingError:
        with suppress(BillingError):
            current.refresh(app, invoice or _made(app, operation))
        raise
    made = invoice or _made(app, operation)
    with suppress(NoSuchInvoice):  # a draft that was deleted
        current.refresh(app, made)
    return made


def _made(app: App, operation: str) -> str:
    with app.db.reading() as tx:
        return store.made(tx, operation) or ""


def settle(tx: Tx, intent: Intent, picture: Picture) -> bool:
    """Of any step: the next one, and the object into the mirror."""
    snapshot = picture.snapshot
    made = snapshot["id"] if intent.params["path"] == ["invoices"] else None
    steps.follow(tx, intent, intent.params["then"], made or intent.params["of"])
    if made and (old := part(snapshot, "metadata").get(REVISION_OF)):
        store.replaced(tx, old, made)
    if snapshot["object"] == "invoice":
        log.info(
            "invoice_generation", operation=intent.operation, invoice=snapshot["id"], status=snapshot.get("status")
        )
        return steps.apply(tx, [picture])
    return mirror.keep(tx, [picture]) if snapshot["object"] in KINDS else True


def call_look(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    """Reads alone: what is decided next is decided on the draft as it is."""
    return stripe.fetch("invoice", params["invoice"])


def find_look(stripe: Stripe, intent: Intent) -> Snapshot | None:
    return stripe.fetch("invoice", intent.params["invoice"])


def settle_look(tx: Tx, intent: Intent, picture: Picture) -> bool:
    """What the minimum charge asks for comes before and after the next step, which finalises the draft."""
    then, invoice = intent.params["then"], picture.snapshot
    if invoice.get("status") == "draft":
        found = rules.weigh(invoice, intent.params["minimum"])
        then = [*found.before, *then[:1], *found.after, *then[1:]]
    steps.follow(tx, intent, then, invoice["id"])
    return steps.apply(tx, [picture])
