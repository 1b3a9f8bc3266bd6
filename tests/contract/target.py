"""Where the contract tests run: a sandbox of their own, or Stripe's test mode. What they make is marked and removed.

Whatever is made is noted in a file as soon as it exists, so a run that was killed is cleaned up after by the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
import stripe
from requests.adapters import HTTPAdapter

from nself.core.settings import Settings, Value, mask
from nself.gateway.api import Stripe
from nself.gateway.live import Live, connect
from stripe_openapi import names_of, rules
from stripe_sandbox import API_VERSION

VARIABLE = "STRIPE_LIVE_TEST_KEY"
MARK = "nself_contract_test"
STRIPE = "https://api.stripe.com"


class NoTestKey(Exception):
    """Nothing was sent."""


def live_test_key(environ: Mapping[str, str]) -> str:
    """Raises NoTestKey unless there is a secret or restricted key of test mode."""
    key = environ.get(VARIABLE, "")
    if not key:
        raise NoTestKey(
            f"{VARIABLE} is not set: make stripe-live needs a key of Stripe's test mode, sk_test_… or rk_test_…"
        )
    if not re.fullmatch(r"(sk|rk)_test_[\x21-\x7e]+", key):
        raise NoTestKey(f"{VARIABLE} is {mask(key)}, not a key of test mode (sk_test_… or rk_test_…); nothing was sent")
    return key


@dataclass(frozen=True)
class Target:
    """`run` names this run in marks and idempotency keys."""

    base: str
    key: str
    run: str
    notes: Path


class Made(NamedTuple):
    kind: str
    id: str


class Marker(HTTPAdapter):
    """Marks what is created, notes it, and makes idempotency keys this run's own."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        path = urlsplit(str(request.url)).path
        operation = f"POST {path}"
        creates = request.method == "POST" and operation in rules().requests
        if "Idempotency-Key" in request.headers:
            request.headers["Idempotency-Key"] = f"{self._target.run}:{request.headers['Idempotency-Key']}"[:255]
        if creates:
            _mark(request, names_of(operation), self._target.run)
        response = super().send(request, *arguments, **options)
        if creates:
            self._note(response.json())
        return response

    def _note(self, answer: Any) -> None:
        answer = answer.get("error", {}).get("payment_intent") or answer  # a declined one was made all the same
        made = [Made(answer["object"], answer["id"])] if answer.get("object") in REMOVALS and "id" in answer else []
        if answer.get("object") == "price":
            made.append(Made("product", answer["product"]))
        with self._target.notes.open("a") as notes:
            notes.writelines(json.dumps(one) + "\n" for one in made)


def _mark(request: requests.PreparedRequest, known: set[str], run: str) -> None:
    body = request.body or ""
    text = body.decode() if isinstance(body, bytes) else str(body)
    more = {f"metadata[{MARK}]": run} if "metadata" in known else {}
    if "name" in known and "/test_clocks" in str(request.url) and "name" not in parse_qs(text):
        more["name"] = f"{MARK} {run}"  # a test clock has no metadata
    if more:
        request.body = "&".join(part for part in (text, urlencode(more)) if part)
        request.prepare_content_length(request.body)
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"


# Clients


@contextmanager
def sdk(target: Target, *, marking: bool = True) -> Generator[Any]:
    """The official client's `v1`."""
    session = requests.Session()
    if marking:
        session.mount(target.base, Marker(target))
    client: Any = stripe.StripeClient(
        target.key,
        base_addresses={"api": target.base},
        stripe_version=API_VERSION,
        http_client=stripe.RequestsClient(session=session),
        max_network_retries=2,
    )
    try:
        yield client.v1
    finally:
        session.close()


@contextmanager
def gateway(target: Target) -> Generator[Stripe]:
    """The product's own way to Stripe, with the product's own rate limit where the target has one."""
    limit = "0" if target.base == STRIPE else "10000"
    given = {"STRIPE_SECRET_KEY": target.key, "STRIPE_API_BASE": target.base, "STRIPE_RATE_LIMIT": limit}
    made = connect(Settings([{name: Value(text, "test") for name, text in given.items()}]))
    assert isinstance(made, Live)
    made._session.mount(target.base, Marker(target))  # the mark is no business of the product
    try:
        yield made
    finally:
        made.close()


# Cleaning up


def _customer(api: Any, id: str) -> None:
    """With what it owes: Stripe keeps paid invoices for ever, all others go."""
    if api.customers.retrieve(id).to_dict().get("deleted"):
        return
    for item in api.invoice_items.list({"customer": id, "pending": True}).auto_paging_iter():
        api.invoice_items.delete(item.id)
    for subscription in api.subscriptions.list({"customer": id}).auto_paging_iter():
        api.subscriptions.cancel(subscription.id)
    for listed in api.invoices.list({"customer": id}).auto_paging_iter():
        invoice = listed
        if invoice.status == "draft" and not invoice.parent:
            api.invoices.delete(invoice.id)
            continue
        if invoice.status == "draft":  # a subscription's cannot be deleted
            invoice = api.invoices.finalize_invoice(invoice.id, {"auto_advance": False})
        if invoice.status in ("open", "uncollectible"):
            api.invoices.void_invoice(invoice.id)
    api.customers.delete(id)


def _payment_intent(api: Any, id: str) -> None:
    if api.payment_intents.retrieve(id).status.startswith("requires_"):
        api.payment_intents.cancel(id)


def _product(api: Any, id: str) -> None:
    """Only one that never had a price can be deleted."""
    try:
        api.products.delete(id)
    except stripe.InvalidRequestError:
        api.products.update(id, {"active": False})


def _meter(api: Any, id: str) -> None:
    if api.billing.meters.retrieve(id).status == "active":
        api.billing.meters.deactivate(id)


REMOVALS: dict[str, Callable[[Any, str], Any]] = {
    "test_helpers.test_clock": lambda api, one: api.test_helpers.test_clocks.delete(one),
    "customer": _customer,
    "payment_intent": _payment_intent,
    "webhook_endpoint": lambda api, one: api.webhook_endpoints.delete(one),
    "promotion_code": lambda api, one: api.promotion_codes.update(one, {"active": False}),
    "coupon": lambda api, one: api.coupons.delete(one),
    "tax_rate": lambda api, one: api.tax_rates.update(one, {"active": False}),
    "price": lambda api, one: api.prices.update(one, {"active": False}),
    "product": _product,
    "billing.meter": _meter,
}
"""In this order: a test clock takes its customers along."""


def clean_up(target: Target) -> None:
    """Removes all that was noted; what could not be removed stays noted, and is raised when the rest is gone."""
    failures: list[Exception] = []
    left: list[Made] = []
    with sdk(target, marking=False) as api:
        for made in sorted(set(_noted(target.notes)), key=lambda one: list(REMOVALS).index(one.kind)):
            try:
                REMOVALS[made.kind](api, made.id)
            except stripe.InvalidRequestError as error:
                if error.code != "resource_missing":
                    failures.append(error)
                    left.append(made)
            except stripe.StripeError as error:
                failures.append(error)
                left.append(made)
    target.notes.write_text("".join(json.dumps(one) + "\n" for one in left))
    if failures:
        raise ExceptionGroup(f"left at {target.base}: {', '.join(one.id for one in left)}", failures)


def _noted(notes: Path) -> Iterator[Made]:
    """A line that a kill cut short was noted for nobody."""
    for line in notes.read_text().splitlines() if notes.exists() else ():
        try:
            yield Made(*json.loads(line))
        except ValueError:
            continue


@contextmanager
def cleaned(target: Target) -> Generator[None]:
    """What was made before is gone when this begins, and what is made here when it ends, however it ends."""
    clean_up(target)
    try:
        yield
    finally:
        clean_up(target)
