"""Root causes of issue 3.1: subscriptions that could not be made, and still are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from nself.diagnosis import Cause, Evidence, Look
from nself.domains.subscription import store
from nself.domains.subscription.model import Failure

SINCE = timedelta(hours=24)
RETRY = "nself billing subscription create --customer {customer} --price {price}"


def failed(reason: Failure) -> Callable[[Look], Evidence | None]:
    def detect(look: Look) -> Evidence | None:
        with look.app.db.reading() as tx:
            one = store.open_creations(tx, reason, look.app.clock() - SINCE, look.app.settings.live)
        if one is None:
            return None
        others = f"; {one.count - 1} more like it" if one.count > 1 else ""
        text = (
            f"no subscription of {one.customer} to {one.price} at {one.made_at:%Y-%m-%d %H:%M:%SZ}: {one.error}{others}"
        )
        return Evidence(text, {"customer": one.customer, "price": one.price})

    return detect


CAUSES = (
    Cause(
        id="3.1.1",
        title="Missing payment method",
        detect=failed("payment_method"),
        explain=(
            "A subscription was to be made for a customer who has nothing that could be charged, so Stripe refused it. It was not "
            "made since. A card that is there and is declined is issue 3.2: then the subscription stands and is incomplete."
        ),
        mend=(
            "nself billing customer show {customer}",
            "nself billing payment-method attach --customer {customer} --payment-method pm_123",
            f"{RETRY} --payment-method pm_123",
        ),
        elsewhere="the customer enters a card at Stripe (Checkout, portal, Stripe.js), which gives the payment method",
    ),
    Cause(
        id="3.1.2",
        title="Invalid price ID",
        detect=failed("price"),
        explain=(
            "A subscription was to be made to a price that this account does not have in this mode: a typing error, a price of the "
            "other mode, or of another account. It was not made since."
        ),
        mend=("nself billing price list", "nself billing subscription create --customer {customer} --price price_123"),
    ),
    Cause(
        id="3.1.3",
        title="Customer not found",
        detect=failed("customer"),
        explain=(
            "A subscription was to be made for a customer whom Stripe does not have: deleted there, of the other mode, or mistyped. "
            "It was not made since, for another customer neither. A customer whom Stripe has and only nself lacks is issue 7.2."
        ),
        mend=(
            "nself billing customer create --user user123 --email user@example.com",
            "nself billing subscription create --customer cus_123 --price {price}",
        ),
    ),
    Cause(
        id="3.1.4",
        title="Insufficient permissions",
        detect=failed("permissions"),
        explain=(
            "Stripe refused to make a subscription since the API key may not: a restricted key without write access to "
            "subscriptions. It was not made since. What the key may not do besides is told by 1.1.3."
        ),
        mend=("nself billing stripe test-connection", RETRY),
        elsewhere="Dashboard, Developers, API keys: give the key write access to subscriptions",
        follows=("1.1.3",),
    ),
)
