"""What was asked for subscriptions, kept: what Stripe has can be held against it, and a failure is seen later."""

from __future__ import annotations

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.customer.model import NoSuchCustomer
from nself.domains.subscription import store
from nself.domains.subscription.errors import NoPaymentMethod, TrialUsed
from nself.domains.subscription.model import Failure, Requested
from nself.gateway import errors as gateway

FAILURES: dict[type[BillingError], Failure] = {
    NoPaymentMethod: "payment_method",
    gateway.NoSuchPaymentMethod: "payment_method",
    gateway.NoSuchPrice: "price",
    gateway.NoSuchCustomer: "customer",
    NoSuchCustomer: "customer",
    gateway.InsufficientPermissions: "permissions",
    TrialUsed: "trial_used",
}


def keep(app: App, one: Requested) -> None:
    now, zone, livemode = app.clock(), app.timezone.key, app.settings.live
    app.db.transact(lambda tx: store.add_request(tx, one, livemode, zone, now))


def failure(error: BillingError) -> Failure:
    """Its reason as root causes tell them apart."""
    for kind, reason in FAILURES.items():
        if isinstance(error, kind):
            return reason
    return "other"
