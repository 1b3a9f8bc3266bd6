"""Previews: what is shown is what comes, and nothing is left of having looked."""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, refusal
from sandbox.timing import advance, at, clocked, invoices, lines, price, subscribe


def preview(api: Sdk, subscription: Any, **details: Any) -> Any:
    wanted = {"subscription_details": details} if details else {}
    return api.invoices.create_preview({"subscription": subscription.id, **wanted})


def everything(api: Sdk) -> list[Any]:
    return [
        [one.to_dict() for one in kind.list({"limit": 100}).data]
        for kind in (api.events, api.invoices, api.invoice_items, api.payment_intents)
    ]


def test_the_renewal(api: Sdk) -> None:
    customer = clocked(api, "2026-04-01")
    subscription = subscribe(api, customer, price(api, 1000))
    api.invoice_items.create({"customer": customer.id, "amount": 50, "currency": "usd"})
    before = everything(api)
    upcoming = preview(api, subscription)
    assert (upcoming.status, upcoming.billing_reason, upcoming.total, upcoming.amount_due) == (
        "draft",
        "upcoming",
        1050,
        1050,
    )
    assert lines(upcoming)[1] == (1000, at("2026-05-01"), at("2026-06-01"))
    assert everything(api) == before
    assert api.subscriptions.retrieve(subscription.id) == subscription
    assert preview(api, subscription).id != upcoming.id
    of_customer = api.invoices.create_preview({"customer": customer.id})
    assert lines(of_customer) == lines(upcoming)
    advance(api, customer.test_clock, "2026-05-01T02:00")
    assert lines(invoices(api, subscription)[1]) == lines(upcoming)


@pytest.mark.parametrize("behavior", ["create_prorations", "always_invoice", "none"])
@pytest.mark.parametrize("interval", ["month", "year"])
def test_a_change_costs_what_its_preview_said(api: Sdk, behavior: str, interval: str) -> None:
    customer = clocked(api, "2026-04-01")
    subscription = subscribe(api, customer, price(api, 3000))
    other = price(api, 7777, interval)
    item = {"id": subscription["items"].data[0].id, "price": other.id}
    advance(api, customer.test_clock, "2026-04-08T09:10:11")
    when = at("2026-04-08T09:00")
    details = {"items": [item], "proration_behavior": behavior, "proration_date": when}
    seen = preview(api, subscription, **details)
    assert api.subscriptions.retrieve(subscription.id)["items"].data[0].price.unit_amount == 3000
    advance(api, customer.test_clock, "2026-04-08T09:30")
    if interval == "year":
        seen = preview(api, subscription, **details)  # the new period begins now
    api.subscriptions.update(subscription.id, details)
    if behavior != "always_invoice" and interval == "month":
        advance(api, customer.test_clock, "2026-05-01T02:00")
    made = invoices(api, subscription)[-1]
    assert (lines(made), made.total) == (lines(seen), seen.total)


def test_a_subscription_to_be(api: Sdk) -> None:
    customer = clocked(api, "2026-04-01")
    details = {"items": [{"price": price(api, 1000).id, "quantity": 3}]}
    seen = api.invoices.create_preview({"customer": customer.id, "subscription_details": details})
    assert (seen.total, lines(seen)) == (3000, [(3000, at("2026-04-01"), at("2026-05-01"))])
    trial = {**details, "trial_end": at("2026-04-15")}
    assert api.invoices.create_preview({"customer": customer.id, "subscription_details": trial}).total == 0
    assert api.subscriptions.list({"customer": customer.id}).data == []


def test_the_end_of_a_trial_and_of_a_subscription(api: Sdk) -> None:
    customer = clocked(api, "2026-04-01")
    subscription = subscribe(api, customer, price(api, 3000), trial_period_days=14)
    assert lines(preview(api, subscription)) == [(3000, at("2026-04-15"), at("2026-05-15"))]
    assert lines(preview(api, subscription, trial_end="now")) == [(3000, at("2026-04-01"), at("2026-05-01"))]
    api.subscriptions.update(subscription.id, {"trial_end": "now"})
    advance(api, customer.test_clock, "2026-04-11")
    credit = preview(api, subscription, cancel_now=True)
    assert (credit.total, credit.amount_due) == (-2000, 0)
    error = refusal(stripe.InvalidRequestError, lambda: preview(api, subscription, cancel_at_period_end=True))
    assert (error.http_status, error.code) == (404, "invoice_upcoming_none")
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_nothing_to_preview(api: Sdk) -> None:
    customer = api.customers.create()
    error = refusal(stripe.InvalidRequestError, api.invoices.create_preview, {"customer": customer.id})
    assert error.code == "invoice_upcoming_none"
    assert refusal(stripe.InvalidRequestError, api.invoices.create_preview, {}).param == "customer"
    whole = {"customer": customer.id, "preview_mode": "recurring"}
    assert refusal(stripe.APIError, api.invoices.create_preview, whole).code == "sandbox_unsupported"
