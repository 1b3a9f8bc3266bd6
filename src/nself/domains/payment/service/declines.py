"""Why payments failed, and what helps. Read from the mirror: commands and webhooks bring what became of payments there."""

from __future__ import annotations

from datetime import datetime, timedelta

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.core.settings import seconds
from nself.domains.payment import rules, store
from nself.domains.payment.inputs import ListFailures, ShowPaymentMethod
from nself.domains.payment.model import DeclineReason, Failed, Failure
from nself.domains.payment.service import look, methods


def failures(app: App, given: ListFailures) -> list[Failure]:
    """Failed charges, and payment intents that failed without one, newest first. Raises NoSuchUser, NoCustomerYet."""
    customer = look.customer_id(app, given.customer, given.user)
    with app.db.reading() as tx:
        found = store.failures(tx, customer, None, _since(app, given.last), app.settings.live, given.limit)
    return [_failure(one) for one in found]


def _since(app: App, last: str | None) -> datetime | None:
    if last is None:
        return None
    try:
        return app.clock() - timedelta(seconds=seconds(last))
    except (ValueError, OverflowError) as error:
        raise InvalidParameter(f"Invalid last: {last[:40]} ({error})", "last") from None


def _failure(one: Failed) -> Failure:
    failed = one.snapshot
    code, decline_code, _ = rules.told(failed)
    found = rules.meaning(code, decline_code)
    return Failure(
        at=one.at,
        customer=one.customer,
        user=one.user,
        amount_minor=failed["amount"],
        currency=failed["currency"],
        code=code,
        decline_code=decline_code,
        reason=found.title,
        charge=one.object if failed["object"] == "charge" else None,
        payment_intent=one.payment_intent,
        payment_status=one.payment_intent_status,
        payment_method=rules.method_of(failed),
        invoice=one.invoice,
        helps=rules.command(found, failed, one.payment_intent, one.invoice),
    )


def decline_reason(app: App, given: ShowPaymentMethod) -> DeclineReason:
    """Of the last failed payment with a method: a method itself has no reason. Raises NoSuchPaymentMethod."""
    method = methods.show(app, given)
    with app.db.reading() as tx:
        found = store.failures(tx, None, method.id, None, app.settings.live, 1)
    if not found:
        note = f"no failed payment with {method.id} is known"
        return DeclineReason(payment_method=method.id, customer=method.customer, declined=False, note=note)
    (one,) = found
    code, decline_code, message = rules.told(one.snapshot)
    meant, shown = rules.meaning(code, decline_code), _failure(one)
    return DeclineReason(
        payment_method=method.id,
        customer=method.customer,
        declined=True,
        note="the last failed payment with this method",
        at=one.at,
        amount_minor=shown.amount_minor,
        currency=shown.currency,
        code=code,
        decline_code=decline_code,
        message=message,
        reason=meant.title,
        means=meant.means,
        helps=meant.helps,
        command=shown.helps,
        charge=shown.charge,
        payment_intent=one.payment_intent,
        payment_status=one.payment_intent_status,
        invoice=one.invoice,
        then=rules.retry(one.invoice) if one.invoice and shown.helps != rules.retry(one.invoice) else None,
    )
