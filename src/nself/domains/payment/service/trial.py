"""A payment from end to end in test mode, each step with its outcome."""

from __future__ import annotations

from collections.abc import Generator

from nself.app import App
from nself.core.money import Money
from nself.domains.connection.model import operation_name
from nself.domains.connection.service import change
from nself.domains.payment import rules, store
from nself.domains.payment.errors import TestPaymentsOnly
from nself.domains.payment.inputs import TestPayment
from nself.domains.payment.model import Step
from nself.domains.payment.service import look, methods, pay
from nself.domains.payment.service.look import Standing

PAYS = "pm_card_visa"
EMAIL = "test-payment@example.com"


def test_payment(app: App, given: TestPayment) -> Generator[Step]:
    """Customer, payment, charge. A card is refused before the first step; what Stripe refuses ends the steps.

    Raises TestPaymentsOnly, CardsInTestModeOnly, NotATestCard, IncorrectNumber, InvalidExpiryMonth, InvalidExpiryYear,
    InvalidCvc, BelowMinimum, CardDeclined, RequiresAction.
    """
    if app.settings.live:
        raise TestPaymentsOnly
    token = rules.token(given.card, live=False) if given.card is not None else PAYS
    if given.exp is not None:
        rules.expiry(*rules.month_and_year(given.exp), methods.today(app))
    if given.cvc is not None:
        rules.check_cvc(given.cvc, token)
    currency = rules.code_of_currency(given.currency or app.settings.text("BILLING_CURRENCY"))
    rules.check_amount(given.amount, currency, confirmed=True)
    app.require_stripe()  # refuses a live key, whatever STRIPE_MODE says
    return _steps(app, given, token, currency)


test_payment.__test__ = False  # type: ignore[attr-defined]


def _steps(app: App, given: TestPayment, token: str, currency: str) -> Generator[Step]:
    yield Step(step="mode", outcome="test: no real money moves")
    yield Step(step="card", outcome=f"a published test card, {token} at Stripe")
    customer = _customer(app)
    yield Step(step="customer", outcome="ready", id=customer)
    params = {
        "amount": given.amount,
        "currency": currency,
        "customer": customer,
        "payment_method": token,
        "confirm": True,
        "off_session": True,
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "description": "Test payment",
    }
    name = change.once(app, "test_payment")
    app.db.transact(lambda tx: change.plan(tx, change.wish(name, "payment_intents", params=params), app.settings.live))
    yield Step(step="payment", outcome=f"{Money(given.amount, currency)} asked for")
    made = pay.take(app, Standing(name, created=True))
    yield Step(step="payment", outcome=made.status, id=made.id)
    if made.charge is None:
        yield Step(step="charge", outcome=made.note)
        return
    yield Step(step="charge", outcome="succeeded: the whole way works", id=made.charge)


def _customer(app: App) -> str:
    """One for all test payments; another one where it was deleted."""
    with app.db.reading() as tx:
        found = store.test_customer(tx)
    if found.id:
        return look.fresh(app, "customer", found.id)["id"]
    params = {"email": EMAIL, "description": "Test payments of nself", "metadata": {"nself_test_payment": "true"}}
    return change.change(
        app, operation_name(False, "test_payment.customer", found.gone + 1), "customers", params=params
    )
