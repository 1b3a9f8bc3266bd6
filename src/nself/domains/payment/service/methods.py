"""Payment methods: attached, shown, made the default, removed. A card number becomes a token before anything else."""

from __future__ import annotations

from datetime import date

from nself import log
from nself.app import App
from nself.core.errors import MissingParameter
from nself.db.connect import Tx
from nself.domains.connection.model import Intent, Snapshot, Wish, operation_name
from nself.domains.connection.rules import part
from nself.domains.connection.service import change, intents
from nself.domains.customer import service as customers
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture
from nself.domains.payment import rules, store
from nself.domains.payment.errors import LastPaymentMethod, MethodsChanged, NotAttached
from nself.domains.payment.inputs import (
    AttachPaymentMethod,
    CreatePaymentMethod,
    DefaultPaymentMethod,
    ListPaymentMethods,
    RemovePaymentMethod,
    ShowPaymentMethod,
)
from nself.domains.payment.model import AttachedMethod, Kept, ListedMethod, RemovedMethod, ShownMethod
from nself.domains.payment.service import look
from nself.gateway.answers import no_such
from nself.gateway.api import Stripe
from nself.gateway.errors import IdempotencyMismatch

Made = tuple[int, int]


def today(app: App) -> date:
    return app.clock().astimezone(app.timezone).date()


def create(app: App, given: CreatePaymentMethod) -> AttachedMethod:
    """Attach the token that stands for a test card, with the expiry given.

    Raises CardsInTestModeOnly, NotATestCard, IncorrectNumber, InvalidExpiryMonth, InvalidExpiryYear, InvalidCvc before
    anything else; NoSuchCustomer, CardDeclined.
    """
    token = rules.token(given.card_number, app.settings.live)
    until = rules.expiry(given.exp_month, given.exp_year, today(app))
    rules.check_cvc(given.cvc, token)
    return _attach(app, token, given.customer, given.default, until)


def attach(app: App, given: AttachPaymentMethod) -> AttachedMethod:
    """Attach a payment method that the customer entered at Stripe; the first one becomes the default.

    Raises NoSuchCustomer, NoSuchPaymentMethod, CardDeclined, what Stripe refuses.
    """
    customer = look.customer_id(app, given.customer, given.user)
    if customer is None:
        raise MissingParameter("customer")
    return _attach(app, given.payment_method, customer, given.default, None)


def _attach(app: App, method: str, customer: str, default: bool, until: Made | None) -> AttachedMethod:
    app.require_stripe()
    look.fresh(app, "customer", customer)
    operation = change.once(app, "payment_method.attach")
    params = {"method": method, "customer": customer, "default": default, "until": until}
    with app.db.transaction() as tx:
        intents.plan(tx, [Wish(operation, "payment_method.attach", params)], app.settings.live)
    id = intents.drive_one(app, operation) or ""
    intents.drive(app, _follow_ups(app, operation))
    log.info("payment_method_attached", payment_method=id, customer=customer)
    kept = _kept(app, id)
    note = "charged from now on" if kept.default else f"nself billing payment-method default {id} --customer {customer}"
    return _attached(kept, customer, note)


def _follow_ups(app: App, operation: str) -> list[str]:
    """The change of the default that attaching has planned, where it has."""
    name = f"{operation}:default"
    with app.db.reading() as tx:
        return [name] if change.earlier(tx, name, app.settings.live) else []


def _attached(kept: Kept, customer: str, note: str) -> AttachedMethod:
    card = part(kept.snapshot, "card")
    return AttachedMethod(
        id=kept.id,
        customer=customer,
        brand=card.get("brand"),
        last4=card.get("last4"),
        expires=rules.expires(kept.snapshot),
        default=kept.default,
        note=note,
    )


def _kept(app: App, id: str) -> Kept:
    """From the mirror, else from Stripe. Raises NoSuchPaymentMethod."""
    with app.db.reading() as tx:
        found = store.method(tx, id)
    if found is None:
        id = look.fresh(app, "payment_method", id)["id"]
        with app.db.reading() as tx:
            found = store.method(tx, id)
    if found is None:
        raise no_such("payment_method", id)
    return found


def show(app: App, given: ShowPaymentMethod) -> ShownMethod:
    """As the mirror has it; one that is not here is looked up at Stripe. Raises NoSuchPaymentMethod."""
    return rules.shown(_kept(app, given.payment_method), today(app))


def list_methods(app: App, given: ListPaymentMethods) -> list[ListedMethod]:
    """Those that are attached to a customer, newest first. Raises NoSuchUser, NoCustomerYet."""
    customer = look.customer_id(app, given.customer, given.user)
    with app.db.reading() as tx:
        found = store.methods(tx, customer, app.settings.live, given.limit)
    return [rules.listed(one, today(app)) for one in found]


def make_default(app: App, given: DefaultPaymentMethod) -> AttachedMethod:
    """Charge the customer by this one from now on. Raises NoSuchCustomer, NoSuchPaymentMethod, NotAttached."""
    method = look.fresh(app, "payment_method", given.payment_method)
    customer = look.fresh(app, "customer", given.customer)
    if method.get("customer") != given.customer:
        raise NotAttached(
            method=method["id"], customer=given.customer,
            owner=f"it is of {method['customer']}" if method.get("customer") else "it is attached to nobody",
        )  # fmt: skip
    note = "it was so already, nothing changed"
    if _default(customer) != method["id"]:
        operation = change.once(app, "payment_method.default", given.customer)
        change.change(app, operation, "customers", given.customer, params=_default_params(method["id"]))
        note = "charged from now on"
        log.info("payment_method_default", payment_method=method["id"], customer=given.customer)
    return _attached(_kept(app, method["id"]), given.customer, note)


def _default(customer: Snapshot) -> str | None:
    return part(customer, "invoice_settings").get("default_payment_method")


def _default_params(method: str) -> Snapshot:
    return {"invoice_settings": {"default_payment_method": method}}


def remove(app: App, given: RemovePaymentMethod) -> RemovedMethod:
    """Detach a method for good; where it was the default, the newest of the others becomes so first.

    Raises NoSuchPaymentMethod, LastPaymentMethod, MethodsChanged.
    """
    method = look.fresh(app, "payment_method", given.payment_method)
    id, customer = method["id"], method.get("customer")
    if customer is None:
        return RemovedMethod(id=id, customer=None, default=None, note="it is attached to nobody, nothing changed")
    default = _default(look.fresh(app, "customer", customer))
    others = sorted(
        (one for one in app.stripe.listed("customers", customer, "payment_methods") if one["id"] != id),
        key=lambda one: (one["created"], one["id"]),
    )
    if not others and not given.force:
        _refuse_last(app, id, customer)
    heir = others[-1]["id"] if others and default in (id, None) else None
    # The name holds what is attached: of two that remove at once, one decides anew.
    state = rules.digest(sorted([id, *(one["id"] for one in others)]))
    operation = operation_name(app.settings.live, "payment_method.remove", customer, state)
    wish = change.wish(operation, "payment_methods", id, "detach", params={})
    if heir:
        wish = Wish(operation, "payment_method.promote", {"customer": customer, "heir": heir, "method": id})
    _drive_alone(app, wish, customer)
    log.info("payment_method_removed", payment_method=id, customer=customer, default=heir or default)
    note = f"detached; {heir} is charged from now on" if heir else "detached"
    if not others:
        note = f"detached; {customer} has no payment method any more"
    left = heir or (default if default != id else None)
    return RemovedMethod(id=id, customer=customer, default=left, note=note)


def _refuse_last(app: App, method: str, customer: str) -> None:
    live = next(iter(app.stripe.listed("subscriptions", customer=customer, limit=1)), None)
    if live is not None:
        raise LastPaymentMethod(method=method, customer=customer, subscription=live["id"])


def _drive_alone(app: App, wish: Wish, customer: str) -> None:
    """Raises MethodsChanged where another removal was decided on the same state."""
    livemode = app.settings.live

    def work(tx: Tx) -> None:
        before = change.earlier(tx, wish.operation, livemode)
        if before is not None and before.state != "failed" and before.params != wish.params:
            raise MethodsChanged(customer=customer)
        change.plan(tx, wish, livemode)

    try:
        app.db.transact(work)
    except IdempotencyMismatch:
        raise MethodsChanged(customer=customer) from None
    intents.drive_one(app, wish.operation)


# ---- Steps at Stripe ----


def call_attach(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change(
        "payment_methods", params["method"], "attach", params={"customer": params["customer"]}, key=key
    )


def find_attached(stripe: Stripe, intent: Intent) -> Snapshot | None:
    """A token is no object: whether it was attached nobody can say, and a second card does no harm."""
    if intent.params["method"].startswith("pm_card_"):
        return None
    found = stripe.fetch("payment_method", intent.params["method"])
    return found if found.get("customer") == intent.params["customer"] else None


def settle_attach(tx: Tx, intent: Intent, picture: Picture) -> bool:
    """With it the wishes that follow: the expiry, and the default where this is the first or was to be it."""
    id, given = picture.snapshot["id"], intent.params
    if not mirror.keep(tx, [picture]):
        return False
    if given["until"]:
        month, year = given["until"]
        expiry = {"card": {"exp_month": month, "exp_year": year}}
        intents.follow(
            tx, intent, change.wish(intent.operation, "payment_methods", id, params=expiry, step=intent.step + 1)
        )
    customer = mirror.stored(tx, "customer", [given["customer"]]).get(given["customer"])
    if given["default"] or (customer and not _default(customer.snapshot)):
        wish = change.wish(f"{intent.operation}:default", "customers", given["customer"], params=_default_params(id))
        intents.plan(tx, [wish], intent.livemode)
    return True


def call_promote(stripe: Stripe, params: Snapshot, key: str) -> Snapshot:
    return stripe.change("customers", params["customer"], params=_default_params(params["heir"]), key=key)


def find_promoted(stripe: Stripe, intent: Intent) -> Snapshot | None:
    found = stripe.fetch("customer", intent.params["customer"])
    return found if _default(found) == intent.params["heir"] else None


def settle_promote(tx: Tx, intent: Intent, picture: Picture) -> bool:
    detach = change.wish(
        intent.operation, "payment_methods", intent.params["method"], "detach", params={}, step=intent.step + 1
    )  # fmt: skip
    intents.follow(tx, intent, detach)
    return customers.apply(tx, [picture])
