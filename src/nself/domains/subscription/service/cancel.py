"""Subscriptions end, at once or with their period; what only would end can be kept."""

from __future__ import annotations

from nself import log
from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.domains.connection.model import operation_name
from nself.domains.connection.service import change
from nself.domains.mirror.model import Snapshot
from nself.domains.subscription import rules
from nself.domains.subscription.errors import NothingToCharge
from nself.domains.subscription.inputs import CancelSubscription, ReactivateSubscription
from nself.domains.subscription.model import Done, Requested
from nself.domains.subscription.service import later, look, payment, requests
from nself.gateway.errors import StripeFailure

SOURCE = "subscription cancel"


def cancel(app: App, given: CancelSubscription) -> Done:
    """When this returns, the mirror has it, and what follows from it. Raises NoSuchSubscription, the gateway's errors."""
    if given.immediate and given.at_period_end:
        raise ExclusiveParameters("immediate", "at_period_end")
    mode = app.settings.text("BILLING_CANCELLATION_MODE")
    now = given.immediate or (mode == "immediate" and not given.at_period_end)
    done = _now(app, given) if now else _at_period_end(app, given)
    asked = "immediate" if now else "at_period_end"
    requests.keep(app, Requested(what="cancel", customer=done.customer, subscription=done.id, asked=asked))
    log.info(
        "subscription_cancel",
        subscription=given.subscription,
        mode=asked,
        status=done.status,
        changed=done.changed,
        reason=given.reason,
    )
    return done


def _details(given: CancelSubscription) -> Snapshot:
    if not given.reason:
        return {}
    return {"cancellation_details": {"feedback": rules.FEEDBACK.get(given.reason, given.reason.replace("-", "_"))}}


def _now(app: App, given: CancelSubscription) -> Done:
    """A subscription is canceled once."""
    snapshot = look.fresh(app, given.subscription, SOURCE)
    id = snapshot["id"]
    if snapshot["status"] in rules.ENDED:
        return look.done(app, id, False, f"is {snapshot['status']} already, nothing changed")
    name = operation_name(app.settings.live, "subscription.cancel", id)
    if change.finish(app, name) is None:
        change.change(app, name, "subscriptions", id, params=_details(given), remove=True)
    if look.stored(app, id)["status"] not in rules.ENDED:
        look.fresh(app, id, SOURCE)
    return look.done(app, id, True, "canceled: access ends now, nothing is refunded, and Stripe never revives it")


def _at_period_end(app: App, given: CancelSubscription) -> Done:
    name = change.turn(app, "subscription.cancel_at_period_end", given.subscription)
    snapshot = look.fresh(app, given.subscription, SOURCE)
    id = snapshot["id"]
    if snapshot["status"] in rules.ENDED:
        return look.done(app, id, False, f"is {snapshot['status']} already, nothing changed")
    if snapshot.get("cancel_at_period_end"):
        return look.done(app, id, False, "ends with its period already, nothing changed")
    dropped = ""
    if change.finish(app, name) is None:
        dropped = later.change_freed(app, name, snapshot, {"cancel_at_period_end": True, **_details(given)})
    note = f"goes on until then; undo it with: nself billing subscription reactivate {id}"
    return look.done(app, id, True, "; ".join(filter(None, (note, dropped))))


def reactivate(app: App, given: ReactivateSubscription) -> Done:
    """Undo a cancellation that has not come yet, or resume what is paused.

    Raises Canceled, NothingToCharge, PaymentFailed, RequiresAction, the gateway's errors.
    """
    names = {
        deed: change.turn(app, f"subscription.{deed}", given.subscription) for deed in ("keep", "keep_at", "resume")
    }
    snapshot = look.running(look.fresh(app, given.subscription, "subscription reactivate"))
    id = snapshot["id"]
    if snapshot["status"] == "paused":
        _resume(app, names["resume"], snapshot)
        note = "resumed: a new period begins, and its invoice is paid first"
    elif snapshot.get("cancel_at_period_end"):
        change.change(app, names["keep"], "subscriptions", id, params={"cancel_at_period_end": False})
        note = "goes on: it is not canceled any more"
    elif snapshot.get("cancel_at"):
        change.change(app, names["keep_at"], "subscriptions", id, params={"cancel_at": ""})
        note = "goes on: it is not canceled any more"
    else:
        payment.check(app, id, "Nothing to reactivate")
        return look.done(app, id, False, f"is {snapshot['status']} and is not to be canceled: nothing changed")
    log.info("subscription_reactivate", subscription=id, note=note)
    return look.done(app, id, True, note)


def _resume(app: App, operation: str, snapshot: Snapshot) -> None:
    """Where the new period is not paid, it stays paused and its invoice open. Raises NothingToCharge, PaymentFailed, RequiresAction."""
    id, invoice = snapshot["id"], snapshot.get("latest_invoice")
    try:
        if invoice and payment.is_open(app, str(invoice)):  # resumed before, and not paid then
            payment.pay(app, snapshot, str(invoice))
            look.fresh(app, id, "subscription reactivate")
        else:
            change.change(app, operation, "subscriptions", id, "resume", params={})
    except StripeFailure as error:
        if payment.NOTHING_TO_CHARGE not in error.message:
            raise
        raise NothingToCharge(customer=snapshot["customer"], subscription=id) from error
    payment.check(app, id, "Unable to reactivate subscription", ("paused",))
