"""Root causes of issue 3.2: payments that failed and are still owed. What was paid since is none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.payment import store
from nself.domains.payment.model import Owed

FIRST = timedelta(hours=1)
"""For so long a customer may be at a first payment."""
MOST = 1000
EXPIRED, FUNDS = frozenset({"expired_card"}), frozenset({"insufficient_funds"})
ASKED = frozenset({"authentication_required", "payment_intent_authentication_failure"})
NOTIFY = "nself billing customer notify --customer {customer} --template payment_failed"
ATTACH = "nself billing payment-method attach --customer {customer} --payment-method pm_123 --default"
PAY = "nself billing invoice pay {invoice} --retry"


def owed(app: App) -> list[Owed]:
    with app.db.reading() as tx:
        return store.owed(tx, app.settings.live, app.clock() - FIRST, MOST)


def _asks(one: Owed) -> bool:
    return one.status == "requires_action" or one.code in ASKED


def _declined(one: Owed) -> bool:
    return not _asks(one) and one.code not in EXPIRED | FUNDS


def because(fits: Callable[[Owed], bool]) -> Callable[[Look], Evidence | None]:
    def detect(look: Look) -> Evidence | None:
        found = [one for one in look.once(owed) if fits(one)]
        if not found:
            return None
        one, code = found[0], found[0].code or found[0].status
        others = f"; {len(found) - 1} more like it" if len(found) > 1 else ""
        text = f"{one.invoice} of {one.customer} is not paid: {one.payment_intent} {code} ({one.method or 'no method'}){others}"
        return Evidence(
            text, {"customer": one.customer, "invoice": one.invoice, "method": one.method, "intent": one.payment_intent}
        )

    return detect


CAUSES = (
    Cause(
        id="3.2.1",
        title="Card declined by issuer",
        detect=because(_declined),
        explain=(
            "The bank refused a payment and its invoice is still open. The reason is none of those that have a cause of their own "
            "(expired, funds, 3-D Secure); often the bank tells none. What was paid later is not told here."
        ),
        mend=("nself billing payment-method decline-reason {method}", NOTIFY, ATTACH, PAY),
        elsewhere="the customer asks the bank, or enters another card",
        money=True,
    ),
    Cause(
        id="3.2.2",
        title="Expired card",
        detect=because(lambda one: one.code in EXPIRED),
        explain=(
            "A payment failed since the card is past its expiry date, and its invoice is still open. Trying again is in vain: "
            "the customer needs another card."
        ),
        mend=("nself billing payment-method details {method}", NOTIFY, ATTACH, PAY),
        elsewhere="the customer enters another card",
        money=True,
    ),
    Cause(
        id="3.2.3",
        title="Insufficient funds",
        detect=because(lambda one: one.code in FUNDS),
        explain=(
            "The account behind the card could not cover the amount, and the invoice is still open. The card is good: trying "
            "again in some days is usual."
        ),
        mend=("nself billing payment-method decline-reason {method}", NOTIFY, PAY),
        elsewhere="the customer pays money in, or enters another card",
        money=True,
    ),
    Cause(
        id="3.2.4",
        title="3D Secure required",
        detect=because(_asks),
        explain=(
            "The bank wants the customer to confirm the payment, and nobody has. Trying again without the customer ends the same "
            "way: the client secret of the payment intent goes to Stripe.js. First payments of the last hour are left out."
        ),
        mend=("nself billing payment-intent show {intent} --show-secret", NOTIFY, PAY),
        elsewhere="the customer confirms the payment on session",
        money=True,
    ),
)
