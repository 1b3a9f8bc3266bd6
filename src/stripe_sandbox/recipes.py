"""Recipes for `trigger`: the calls after which an event occurs for real, with its real object.

A step is `METHOD /path name=value …`; `{2.id}` is a field of the second step's answer. `COMPLETE {1.id}` is what the
customer does on the page of a checkout session.
"""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from stripe_sandbox import ids
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.errors import StripeError
from stripe_sandbox.forms import parse_form
from stripe_sandbox.front import Router, read_params
from stripe_sandbox.resources.checkout_sessions import complete
from stripe_sandbox.store import Condition, Object, Store

_CUSTOMER = (
    "POST /v1/customers email=trigger@example.com name=Trigger payment_method=pm_card_visa"
    " invoice_settings[default_payment_method]=pm_card_visa"
)
_PRODUCT = "POST /v1/products name=Trigger"
_PRICE = "POST /v1/prices product={2.id} currency=usd unit_amount=1500 recurring[interval]=month"
_SUBSCRIPTION = "POST /v1/subscriptions customer={1.id} items[0][price]={3.id}"
_SIGNED_UP = (_CUSTOMER, _PRODUCT, _PRICE, _SUBSCRIPTION)
_DRAFT = (
    _CUSTOMER,
    "POST /v1/invoices customer={1.id}",
    "POST /v1/invoiceitems customer={1.id} invoice={2.id} currency=usd amount=2000 description=Trigger",
)
_FINAL = (*_DRAFT, "POST /v1/invoices/{2.id}/finalize")
_PAID = (*_FINAL, "POST /v1/invoices/{2.id}/pay")
_NO_REDIRECT = "automatic_payment_methods[enabled]=true automatic_payment_methods[allow_redirects]=never"


def _payment(card: str) -> str:
    return f"POST /v1/payment_intents amount=2000 currency=usd confirm=true payment_method={card} {_NO_REDIRECT}"


_DECLINED_LATER = (
    "POST /v1/customers email=trigger@example.com payment_method=pm_card_chargeCustomerFail"
    " invoice_settings[default_payment_method]=pm_card_chargeCustomerFail"
)
_UNPAID = (_DECLINED_LATER, *_DRAFT[1:], "POST /v1/invoices/{2.id}/finalize", "POST /v1/invoices/{2.id}/pay")
RECIPES: dict[str, Sequence[str]] = {
    "charge.dispute.created": (_payment("pm_card_createDispute"),),
    "charge.failed": (_payment("pm_card_chargeDeclined"),),
    "charge.refunded": (_payment("pm_card_visa"), "POST /v1/refunds payment_intent={1.id}"),
    "charge.succeeded": (_payment("pm_card_visa"),),
    "checkout.session.completed": (
        *_SIGNED_UP[:3],
        "POST /v1/checkout/sessions mode=subscription customer={1.id} line_items[0][price]={3.id}"
        " line_items[0][quantity]=1 success_url=https://example.com/done",
        "COMPLETE {4.id}",
    ),
    "coupon.created": ("POST /v1/coupons percent_off=10 duration=once",),
    "credit_note.created": (*_PAID, "POST /v1/credit_notes invoice={2.id} amount=500 credit_amount=500"),
    "customer.created": (_CUSTOMER,),
    "customer.deleted": (_CUSTOMER, "DELETE /v1/customers/{1.id}"),
    "customer.subscription.created": _SIGNED_UP,
    "customer.subscription.deleted": (*_SIGNED_UP, "DELETE /v1/subscriptions/{4.id}"),
    "customer.subscription.trial_will_end": (*_SIGNED_UP[:3], f"{_SUBSCRIPTION} trial_period_days=1"),
    "customer.subscription.updated": (*_SIGNED_UP, "POST /v1/subscriptions/{4.id} cancel_at_period_end=true"),
    "customer.updated": (_CUSTOMER, "POST /v1/customers/{1.id} name=Triggered"),
    "invoice.created": _DRAFT,
    "invoice.finalized": _FINAL,
    "invoice.marked_uncollectible": (*_FINAL, "POST /v1/invoices/{2.id}/mark_uncollectible"),
    "invoice.paid": _PAID,
    "invoice.payment_failed": _UNPAID,
    "invoice.payment_succeeded": _PAID,
    "invoice.updated": (*_DRAFT, "POST /v1/invoices/{2.id} description=Triggered"),
    "invoice.voided": (*_FINAL, "POST /v1/invoices/{2.id}/void"),
    "payment_intent.canceled": (
        f"POST /v1/payment_intents amount=2000 currency=usd {_NO_REDIRECT}",
        "POST /v1/payment_intents/{1.id}/cancel",
    ),
    "payment_intent.created": (f"POST /v1/payment_intents amount=2000 currency=usd {_NO_REDIRECT}",),
    "payment_intent.payment_failed": (_payment("pm_card_chargeDeclined"),),
    "payment_intent.requires_action": (_payment("pm_card_authenticationRequired"),),
    "payment_intent.succeeded": (_payment("pm_card_visa"),),
    "payment_method.attached": (
        "POST /v1/customers email=trigger@example.com",
        "POST /v1/payment_methods/pm_card_visa/attach customer={1.id}",
    ),
    "payment_method.detached": (
        _CUSTOMER,
        "POST /v1/payment_methods/{1.invoice_settings.default_payment_method}/detach",
    ),
    "price.created": (_PRODUCT, "POST /v1/prices product={1.id} currency=usd unit_amount=1500"),
    "product.created": (_PRODUCT,),
    "refund.created": (_payment("pm_card_visa"), "POST /v1/refunds payment_intent={1.id}"),
    "setup_intent.succeeded": (f"POST /v1/setup_intents confirm=true payment_method=pm_card_visa {_NO_REDIRECT}",),
}


def run(store: Store, clock: Clock, event: str) -> list[Object]:
    """The events that the recipe of `event` made, oldest first; to be called in a transaction."""
    before = store.last_object()
    router, answers = Router(), list[Object]()
    for step in RECIPES[event]:
        answers.append(_perform(store, clock, router, _filled(step, answers)))
    return store.select("event", [Condition("n > ?", (before,))], oldest_first=True)


def _filled(step: str, answers: Sequence[Object]) -> str:
    return re.sub(r"\{(\d+)\.([\w.]+)\}", lambda found: _field(answers[int(found[1]) - 1], found[2]), step)


def _field(answer: Object, path: str) -> str:
    found: Any = answer
    for name in path.split("."):
        found = found[name]
    return str(found)


def _perform(store: Store, clock: Clock, router: Router, step: str) -> Object:
    """A declined card is part of a recipe; any other refusal is a mistake in it."""
    method, url, *pairs = step.split(" ")
    if method == "COMPLETE":
        call = Call(store, clock)
        complete(call, call.load("checkout.session", url), "pm_card_visa", None)
        return {}
    operation, path = router.match(method, url)
    form = parse_form(urlencode([(name, value) for name, _, value in (pair.partition("=") for pair in pairs)]))
    call = Call(store, clock, ids.request_id(), None, path, url)
    try:
        shown: Any = call.show(operation.handler(call, read_params(operation, form)))
    except StripeError as error:
        if not error.commits:
            raise
        return {}
    return shown
