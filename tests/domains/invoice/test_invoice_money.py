"""No cent more than was agreed on, and none given back that was not paid."""

from __future__ import annotations

from typing import Any

import pytest
from billing_hand import Hand
from money_bench import Bench

from nself.domains.invoice.inputs import ReadInvoice
from nself.domains.invoice.service import edit, renew

AUTOMATIC = {"STRIPE_TAX_CALCULATION": "automatic"}
BERLIN = {"line1": "Hauptstr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}
MONTHLY = {"recurring": {"interval": "month"}}


@pytest.fixture
def hand(bench: Bench) -> Hand:
    return Hand(bench, **AUTOMATIC)


@pytest.mark.parametrize(("behavior", "total"), [("inclusive", 11900), ("exclusive", 14161)])
def test_a_period_of_a_price_has_the_tax_that_the_price_says(hand: Hand, behavior: str, total: int) -> None:
    price = hand.price("11900", "eur", tax_behavior=behavior, **MONTHLY)
    assert hand.create(hand.customer(address=BERLIN), price=price).total_minor == total


@pytest.mark.parametrize("more", [MONTHLY, {}])
@pytest.mark.parametrize("address", [BERLIN, None])
def test_an_invoice_anew_asks_for_the_same(hand: Hand, more: dict[str, Any], address: dict[str, str] | None) -> None:
    price, customer = hand.price("11900", "eur", tax_behavior="inclusive", **more), hand.customer(address=address)
    made = hand.create(customer, price=price)
    anew = renew.regenerate(hand.app, ReadInvoice(invoice=made.id))
    hand.sandbox.post(f"/v1/customers/{customer}", address=BERLIN)
    assert edit.recalculate(hand.app, ReadInvoice(invoice=anew.id)).total_minor == 11900
    assert hand.there(anew.id)["total_taxes"][0]["amount"] == 1900
