"""BILLING_OVERAGE_CAP: what an invoice may take for usage above the quota."""

from __future__ import annotations

import pytest
from money_bench import charge_overage

from nself.domains.audit.inputs import AuditCharges
from nself.domains.audit.service.charges import audit_charges
from subscribing import Shop


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
    """A paid invoice over 10.00 USD of overage: 200 calls above the quota at 0.05."""
    app = shop.app(BILLING_OVERAGE_CAP=cap)
    charge_overage(app, "api_calls", 100)
    shop.customer(app, "heavy")
    shop.bench.use(app, "heavy", 300)
    shop.bench.bill(app, "heavy")
    shop.bench.work(app)
    shop.hear(app)
    assert shop.bench.books("heavy").charged == [1000]
    found = audit_charges(app, AuditCharges(since="2026-01-01"))
    assert [(one.reason, one.amount) for one in found] == wanted
