"""Payments that failed are told by their reason as long as they are owed."""

from __future__ import annotations

import pytest

from nself.app import App
from nself.diagnosis import Look
from nself.domains.payment.service.causes import CAUSES
from paying import Till


def found(app: App) -> list[str]:
    look = Look(app)
    return [one.id for one in CAUSES if one.detect(look)]


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        ("4000000000000002", "3.2.1"),
        ("4000000000000069", "3.2.2"),
        ("4000000000009995", "3.2.3"),
        ("4000002760003184", "3.2.4"),
    ],
)
def test_an_open_invoice_is_told_by_the_banks_reason_until_it_is_paid(till: Till, number: str, cause: str) -> None:
    user = till.known("debtor")
    (method,) = till.sandbox.get("/v1/payment_methods", customer=user)
    till.sandbox.admin(f"payment_methods/{method['id']}/issuer", number=number)
    till.bench.use(till.app, "debtor", 120)
    till.bench.bill(till.app, "debtor")
    till.hear()
    assert found(till.app) == [cause]
    till.sandbox.admin(f"payment_methods/{method['id']}/issuer", number="4242424242424242")
    (invoice,) = till.sandbox.invoices(user)
    if cause == "3.2.4":
        (payment,) = till.sandbox.get("/v1/payment_intents", customer=user)
        till.sandbox.admin(f"payment_intents/{payment['id']}/authenticate", outcome="succeed")
    else:
        till.sandbox.post(f"/v1/invoices/{invoice['id']}/pay")
    till.hear()
    assert found(till.app) == []


def test_what_was_paid_is_no_finding(till: Till) -> None:
    till.known("payer")
    till.bench.use(till.app, "payer", 120)
    till.bench.bill(till.app, "payer")
    till.hear()
    assert found(till.app) == []
