"""BILLING_OVERAGE_CAP: what an invoice may take for usage above the quota."""

from __future__ import annotations

import pytest
from money_bench import charge_overage

from nself.app import App
from nself.domains.audit.inputs import AuditCharges
from nself.domains.audit.service.charges import audit_charges
from nself.domains.invoice.inputs import Credit
from nself.domains.invoice.service import finish
from subscribing import Shop


def heavy(shop: Shop, cap: str) -> App:
    """A paid invoice over 10.00 USD of overage: 200 calls above the quota at 0.05."""
    app = shop.app(BILLING_OVERAGE_CAP=cap)
    charge_overage(app, "api_calls", 100)
    shop.customer(app, "heavy")
    shop.bench.use(app, "heavy", 300)
    shop.bench.bill(app, "heavy")
    shop.bench.work(app)
    shop.hear(app)
    assert shop.bench.books("heavy").charged == [1000]
    return app


@pytest.mark.parametrize(
    ("cap", "wanted"),
    [
        ("", []),
        ("0", []),
        ("1000", []),
        ("600", [("over_cap", 400)]),
        ("eur:600", []),
        ("eur:1,usd:600", [("over_cap", 400)]),
    ],
)
def test_overage_above_the_cap_of_its_currency_is_found(shop: Shop, cap: str, wanted: list[tuple[str, int]]) -> None:
    found = audit_charges(heavy(shop, cap), AuditCharges(since="2026-01-01"))
    assert [(one.reason, one.amount) for one in found] == wanted


def test_what_was_credited_to_the_balance_is_given_back(shop: Shop) -> None:
    app = heavy(shop, "600")
    ((invoice,),) = shop.bench.sql("select invoice_id from billing_invoices")
    for amount, refund, left in ((150, False, 250), (100, True, 150), (150, False, 0)):
        finish.credit(app, Credit(invoice=invoice, amount=amount, refund=refund, reason="over the cap"))
        shop.hear(app)
        (one,) = audit_charges(app, AuditCharges(since="2026-01-01"))
        assert (one.amount, one.refunded) == (left, 400 - left)
    assert one.status == "refunded"
