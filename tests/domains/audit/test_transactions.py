"""What moved at Stripe, and who caused it."""

from __future__ import annotations

from nself.domains.audit.inputs import AuditTransactions
from nself.domains.audit.service.transactions import audit_transactions
from subscribing import Shop


def test_what_a_stranger_charged_is_summed_apart_from_what_was_given_back(shop: Shop) -> None:
    app, sandbox = shop.app(), shop.sandbox
    victim = shop.customer(app, "victim")
    card = sandbox.get(f"/v1/customers/{victim}")["invoice_settings"]["default_payment_method"]

    def charge(amount: int) -> str:
        intent = {"amount": amount, "currency": "usd", "customer": victim, "payment_method": card, "confirm": True}
        return str(sandbox.post("/v1/payment_intents", off_session=True, **intent)["latest_charge"])

    first, _ = charge(7700), charge(500)
    sandbox.post("/v1/refunds", charge=first, amount=300)
    found = audit_transactions(app, AuditTransactions(since="24h"))
    assert (found.strangers_open, found.strangers_refunded) == (["79.00 USD"], ["3.00 USD"])
    assert {one.id for one in found.strangers if one.kind == "charge"} >= {first}
