"""Taking a payment once, and looking at payment intents."""

from __future__ import annotations

from datetime import timedelta

from nself import log
from nself.app import App
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.connection.model import PaymentQueued, Snapshot, operation_name
from nself.domains.connection.rules import part
from nself.domains.connection.service import change, intents
from nself.domains.customer import service as customers
from nself.domains.mirror import service as mirror
from nself.domains.payment import rules, store
from nself.domains.payment.errors import NoPaymentMethod, RepeatedPayment
from nself.domains.payment.inputs import CreatePayment, ShowPaymentIntent
from nself.domains.payment.model import CreatedPayment, ShownIntent, money
from nself.domains.payment.service import look
from nself.domains.payment.service.look import Standing
from nself.gateway.answers import recorded
from nself.gateway.errors import CardDeclined, RequiresAction

MASKED = "***"
REPEATED = timedelta(minutes=10)
"""For so long the same payment is not made again without a key of its own."""


def create(app: App, given: CreatePayment) -> CreatedPayment:
    """Charge a customer now, without them (off session); in test mode without a customer: an unconfirmed payment intent.

    The same key and parameters give the same payment. Without a key a run that is given again after a crash gives the
    same payment, and after its end RepeatedPayment for ten minutes. Raises AmountUnconfirmed, MissingParameter,
    NoSuchCustomer, NoPaymentMethod, IdempotencyMismatch, BelowMinimum, CardDeclined, RequiresAction, StillPending.
    With BILLING_QUEUE_PAYMENTS it is only recorded: `status` is then queued.
    """
    currency = rules.code_of_currency(given.currency or app.settings.text("BILLING_CURRENCY"))
    rules.check_amount(given.amount, currency, given.confirm)
    rules.check_key(given.idempotency_key)
    customer = look.customer_id(app, given.customer, given.user)
    if customer is None and app.settings.live:
        raise MissingParameter("customer")
    app.require_stripe()
    method = given.payment_method
    if customer and (default := _customer_default(app, customer)) and not method:
        method = default
    if customer and not method:
        raise NoPaymentMethod(customer=customer)
    # What was asked for, and not what became of it: the default may be another one when the same is asked for again.
    request = rules.digest(given.amount, currency, customer, given.payment_method, given.description)
    params = _params(given, currency, customer, method, request)
    stands = app.db.transact(lambda tx: _plan(app, tx, given.idempotency_key, customer, params, request))
    return take(app, stands)


def take(app: App, stands: Standing) -> CreatedPayment:
    """Drive a payment to its end; what became of it is in the mirror also where it failed. Raises as `create`."""
    try:
        id = intents.drive_one(app, stands.operation) or ""
    except PaymentQueued as waits:
        return _queued(app, stands, waits)
    except CardDeclined as declined:
        look.renew(app, "payment_intent", declined.payment_intent)
        look.renew(app, "charge", declined.charge)
        log.warning("payment_failed", payment_intent=declined.payment_intent, code=declined.code)
        raise
    made = look.stored(app, "payment_intent", id) or look.fresh(app, "payment_intent", id)
    look.renew(app, "charge", made.get("latest_charge"))
    refuse_unpaid(made)
    log.info("payment_created", payment_intent=id, customer=made.get("customer"), amount=str(money(made)))
    return _created(made, stands.created)


def _customer_default(app: App, customer: str) -> str | None:
    """Raises NoSuchCustomer."""
    found = look.for_payment(app, "customer", customer)
    return part(found, "invoice_settings").get("default_payment_method") or found.get("default_source")


def _params(given: CreatePayment, currency: str, customer: str | None, method: str | None, request: str) -> Snapshot:
    params: Snapshot = {
        "amount": given.amount,
        "currency": currency,
        "metadata": {"nself_request": request},
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
    }
    params |= {"description": given.description} if given.description else {}
    params |= {"payment_method": method} if method else {}
    return params | ({"customer": customer, "confirm": True, "off_session": True} if customer else {})


def _plan(app: App, tx: Tx, key: str | None, customer: str | None, params: Snapshot, request: str) -> Standing:
    """Step: the operation that makes this payment, recorded."""
    live = app.settings.live
    if key is not None:
        name = operation_name(live, "payment.create", "key", key)
        return look.wish_once(app, tx, change.wish(name, "payment_intents", params=params), request)
    if customer is None:
        name = change.once(app, "payment.create")
    else:
        mirror.lock(tx, "payment", [f"{customer} {request}"])
        before = store.alike(tx, customer, request)
        name = operation_name(live, "payment.create", customer, request, before.count + 1)
        stands = change.earlier(tx, name, live)
        if stands and stands.state != "failed":
            return Standing(name, created=False)
        _refuse_repetition(app, before, customer, params)
    change.plan(tx, change.wish(name, "payment_intents", params=params), live)
    return Standing(name, created=True)


def _refuse_repetition(app: App, before: store.Alike, customer: str, params: Snapshot) -> None:
    if before.newest and before.newest_at and (since := app.clock() - before.newest_at) < REPEATED:
        raise RepeatedPayment(
            payment=before.newest, money=money(params), minor=params["amount"], currency=params["currency"],
            customer=customer, seconds=max(0, int(since.total_seconds())),
        )  # fmt: skip


def refuse_unpaid(made: Snapshot) -> None:
    """A payment whose outcome was looked up much later may not have been one. Raises RequiresAction, CardDeclined."""
    if made["status"] == "requires_action":
        raise RequiresAction(noun="payment", payment=made["id"])
    error = part(made, "last_payment_error")
    if error and made["status"] == "requires_payment_method":
        raise recorded({"status": 402, "key": "", "error": {**error, "payment_intent": made["id"]}})


def _created(made: Snapshot, created: bool) -> CreatedPayment:
    waits = made["status"] == "requires_payment_method"
    note = (
        "it waits for a payment method and its confirmation"
        if waits
        else "paid"
        if made["status"] == "succeeded"
        else ""
    )
    return CreatedPayment(
        id=made["id"],
        status=made["status"],
        amount_minor=made["amount"],
        currency=made["currency"],
        customer=made.get("customer"),
        payment_method=made.get("payment_method"),
        charge=made.get("latest_charge"),
        description=made.get("description"),
        created=created,
        note=note if created else "the same was asked for before: nothing was taken twice",
    )


def _queued(app: App, stands: Standing, waits: PaymentQueued) -> CreatedPayment:
    asked = part(change.wished(app, stands.operation) or {}, "params")
    log.info("payment_queued", operation=stands.operation, id=waits.id)
    return CreatedPayment(
        id=f"queued_{waits.id}",
        status="queued",
        amount_minor=asked["amount"],
        currency=asked["currency"],
        customer=asked.get("customer"),
        payment_method=asked.get("payment_method"),
        charge=None,
        description=asked.get("description"),
        created=stands.created,
        note=f"not made yet, it waits for: {waits.hint[0]}",
    )


def show(app: App, given: ShowPaymentIntent) -> ShownIntent:
    """As Stripe has it now; the secret is masked unless asked for, which is logged. Raises NoSuchPayment."""
    seen = mirror.look(app, "payment_intent", given.payment_intent)
    one = seen.snapshot
    shown = MASKED
    if given.show_secret:
        log.info("client_secret_shown", payment_intent=one["id"], operator=app.operator())
        shown = app.stripe.client_secret("payment_intents", one["id"]) or "none"
    customer, error = one.get("customer"), part(one, "last_payment_error")
    with app.db.reading() as tx:
        user = customers.users_of(tx, [customer]).get(customer) if customer else None
    return ShownIntent(
        id=one["id"],
        status=one["status"],
        amount_minor=one["amount"],
        amount_received_minor=one.get("amount_received") or 0,
        currency=one["currency"],
        customer=customer,
        user=user,
        payment_method=one.get("payment_method"),
        charge=one.get("latest_charge"),
        description=one.get("description"),
        code=error.get("code"),
        decline_code=error.get("decline_code"),
        message=error.get("message"),
        next_action=part(one, "next_action").get("type"),
        client_secret=shown,
        livemode=bool(one.get("livemode")),
        created_at=rules.instant(one["created"]),
        as_of=seen.as_of,
    )
