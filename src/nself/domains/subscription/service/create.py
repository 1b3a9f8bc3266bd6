"""A customer subscribes, once to a price whatever happens on the way."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import msgspec

from nself import log
from nself.app import App
from nself.core import period
from nself.core.errors import BillingError, ExclusiveParameters, because
from nself.domains.catalog import service as catalog
from nself.domains.connection.model import StillPending, operation_name
from nself.domains.connection.rules import part
from nself.domains.connection.service import change
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import ShowCustomer
from nself.domains.customer.model import NoSuchCustomer
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture, Snapshot
from nself.domains.subscription import facts, rules
from nself.domains.subscription.errors import BadTrialEnd, NoPaymentMethod, TrialUsed
from nself.domains.subscription.inputs import CreateSubscription
from nself.domains.subscription.model import Done, Requested
from nself.domains.subscription.service import look, payment, requests
from nself.gateway.api import STRIPE_VERSION
from nself.gateway.errors import IdempotencyMismatch, StripeFailure

UNABLE = "Unable to create subscription"
"""Words of Stripe's refusal, whose code says only that something is missing."""
REQUEST = "nself_request"
ZONED = re.compile(r"(Z|[+-]\d\d:?\d\d)$")


class Trial(NamedTuple):
    """Parameters of a trial, and what there is to say of it."""

    params: Snapshot
    note: str = ""
    asked: str = ""


def create(app: App, given: CreateSubscription) -> Done:
    """By an operator, who may give a second trial. Raises what Stripe refuses, PaymentFailed, RequiresAction."""
    return _create(app, given, operator=True)


def subscribe(app: App, given: CreateSubscription) -> Done:
    """By an app: one trial a customer. Raises TrialUsed, and as `create`."""
    return _create(app, given, operator=False)


def _create(app: App, given: CreateSubscription, operator: bool) -> Done:
    if given.trial_days is not None and given.trial_end is not None:
        raise ExclusiveParameters("trial_days", "trial_end")
    source = "subscription create"
    with _unable(app, given):
        operation = _operation(app, given)  # before looking: see change.turn
        begun = change.wished(app, operation)
        if begun is None:
            price = app.stripe.look_up("price", given.price)
            _customer(app, given.customer, source)
            standing = None if given.idempotency_key else _standing(app, given, source)
            if standing:
                return _stands(app, given, standing)
            trial = _trial(app, given, price, operator)
            id = change.change(app, operation, "subscriptions", params=_params(app, given, price, trial))
            requests.keep(app, _requested(app, given, id, trial))
        else:
            if given.idempotency_key and part(part(begun, "params"), "metadata").get(REQUEST) != _digest(given):
                raise IdempotencyMismatch
            trial, id = Trial({}), change.finish(app, operation) or ""
    log.info("subscription_create", subscription=id, customer=given.customer, price=given.price, operation=operation)
    payment.check(app, id, UNABLE)
    return look.done(app, id, begun is None, trial.note or ("" if begun is None else "stands already, nothing changed"))


def _requested(app: App, given: CreateSubscription, id: str, trial: Trial) -> Requested:
    """What was asked of Stripe."""
    ends, days = trial.params.get("trial_end"), trial.params.get("trial_period_days")
    until = rules.instant(ends) or (app.clock() + timedelta(days=days) if days else None)
    return Requested(
        what="create", customer=given.customer, subscription=id, price=given.price, asked=trial.asked, trial_end=until
    )  # fmt: skip


@contextmanager
def _unable(app: App, given: CreateSubscription) -> Generator[None]:
    """A refusal keeps its code and family and says what could not be done."""
    try:
        yield
    except IdempotencyMismatch:
        raise
    except StripeFailure as error:
        if payment.NOTHING_TO_CHARGE in error.message:
            error = NoPaymentMethod(customer=given.customer, price=given.price)
        raise _told(app, given, error) from error
    except (StillPending, NoSuchCustomer, TrialUsed) as error:
        raise _told(app, given, error) from error


def _told(app: App, given: CreateSubscription, error: BillingError) -> BillingError:
    reason = requests.failure(error)
    log.warning("subscription_create", failed=True, reason=reason, code=error.code, error=error.message)
    asked = Requested(
        what="create", customer=given.customer, price=given.price, failure=reason, error=error.message[:500]
    )  # fmt: skip
    requests.keep(app, asked)
    return error if isinstance(error, TrialUsed) else because(error, UNABLE)


def _operation(app: App, given: CreateSubscription) -> str:
    name = "subscription.create"
    if given.idempotency_key:
        return operation_name(app.settings.live, name, "key", given.idempotency_key)
    return change.turn(app, name, given.customer, given.price)


def _digest(given: CreateSubscription) -> str:
    """Of what was asked for: what follows from it (a trial of the price) may be another the second time."""
    return hashlib.sha256(msgspec.json.encode(given)).hexdigest()[:32]


def _customer(app: App, id: str, source: str) -> None:
    """Raises NoSuchCustomer."""
    picture = mirror.fetch(app, "customer", id, source)
    if picture.snapshot.get("deleted"):
        raise NoSuchCustomer(customer=id[:100])
    look.keep(app, picture)


def _standing(app: App, given: CreateSubscription, source: str) -> str | None:
    """The customer's subscription to this price that has not ended, made here or by hand; all of them are stored."""
    after, found = None, list[Snapshot]()
    while True:
        number = mirror.draw(app)
        page = app.stripe.page("subscription", customer=given.customer, after=after)
        for one in page.objects:
            look.keep(app, Picture({"livemode": app.stripe.live, **one}, number, source, STRIPE_VERSION))
        found += page.objects
        if not page.more:
            break
        after = page.objects[-1]["id"]
    return next(
        (one["id"] for one in found if one["status"] not in rules.ENDED and given.price in facts.prices(one)), None
    )


def _stands(app: App, given: CreateSubscription, id: str) -> Done:
    requests.keep(
        app, Requested(what="create", customer=given.customer, subscription=id, price=given.price, asked="stands")
    )
    payment.check(app, id, UNABLE)
    return look.done(app, id, False, "stands already, nothing changed")


def _params(app: App, given: CreateSubscription, price: Snapshot, trial: Trial) -> Snapshot:
    item: Snapshot = {"price": given.price}
    if given.quantity is not None:
        item["quantity"] = given.quantity
    found: Snapshot = {
        "customer": given.customer,
        "items": [item],
        "payment_behavior": "allow_incomplete",
        "metadata": {REQUEST: _digest(given)},
        **catalog.tax(app),
        **trial.params,
    }
    if given.payment_method:
        found["default_payment_method"] = given.payment_method
    if given.coupon:
        found["discounts"] = [{"coupon": given.coupon}]
    return found


def _trial(app: App, given: CreateSubscription, price: Snapshot, operator: bool) -> Trial:
    """What was asked for, else what the price grants; who has had a trial gets no second one but from an operator."""
    used = customer.show(app, ShowCustomer(customer=given.customer)).trial_used
    asked = bool(given.trial_days) or given.trial_end is not None
    if asked and used and not operator:
        raise TrialUsed(customer=given.customer, price=given.price)
    note = "warning: the customer has had a trial already; this is another one" if asked and used else ""
    if given.trial_end is not None:
        return Trial({"trial_end": trial_end(app, given.trial_end, given.price)}, note, asked_by(given.trial_end))
    if given.trial_days is not None:
        return (
            Trial({"trial_period_days": given.trial_days}, note, "days")
            if given.trial_days
            else Trial({}, note, "none")
        )
    days = facts.trial_days(price)
    if not days:
        return Trial({})
    if used:
        return Trial({}, f"the price's trial of {days} days is not given: the customer has had a trial already", "used")
    return Trial({"trial_period_days": days}, f"a trial of {days} days, as the price grants it", "price")


def trial_end(app: App, text: str, price: str = "price_123") -> int:
    """Unix seconds of a date in BILLING_TIMEZONE, or of an instant. Raises InvalidParameter, BadTrialEnd."""
    at, now = period.instant(text, app.timezone, "trial_end"), app.clock()
    what = "in the past" if at <= now else f"more than {facts.LONGEST_TRIAL} days away"
    if not now < at <= now + timedelta(days=facts.LONGEST_TRIAL):
        raise BadTrialEnd(given=text[:40], what=what, zone=app.timezone.key, price=price)
    return int(at.timestamp())


def asked_by(text: str) -> str:
    """Of a trial's end: `instant` has its own zone, `end` is counted in BILLING_TIMEZONE."""
    return "instant" if ZONED.search(text) else "end"
