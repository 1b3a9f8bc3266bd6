"""Each rule finds what it says, and nothing in what is right."""

from __future__ import annotations

from money_bench import Bench

from nself.app import App
from nself.domains.audit.inputs import AuditCustomers
from nself.domains.audit.rules import RULES
from nself.domains.audit.service import customers
from subscribing import Shop


def found(app: App, fraud: bool = True) -> dict[str, set[str]]:
    rows: dict[str, set[str]] = {}
    for one in customers.audit_customers(app, AuditCustomers(check_fraud=fraud)):
        rows.setdefault(one.rule, set()).add(one.customer)
    return rows


def card(shop: Shop, customer: str, token: str) -> str:
    return str(shop.sandbox.post(f"/v1/payment_methods/{token}/attach", customer=customer)["id"])


def test_a_customer_in_order_is_not_found(shop: Shop):
    app = shop.app()
    customer = shop.customer(app, "good", "pm_card_visa")
    shop.sandbox.post(f"/v1/customers/{customer}", address={"country": "US"})
    shop.subscribe(customer)
    shop.hear(app)
    result = customers.audit_customers(app, AuditCustomers(check_fraud=True))
    assert result == []
    assert all(rule.name in result.notes[0] for rule in RULES)


def test_each_rule_finds_its_own(shop: Shop, bench: Bench):
    app = shop.app()
    disputed = shop.customer(app, "disputed", "pm_card_createDispute")
    shop.subscribe(disputed)
    tried = shop.customer(app, "tried", "pm_card_amex")
    for token in ("pm_card_chargeDeclined", "pm_card_chargeDeclinedExpiredCard", "pm_card_chargeDeclinedIncorrectCvc"):
        try:
            bench.sandbox.post(
                "/v1/payment_intents",
                amount=900,
                currency="usd",
                customer=tried,
                payment_method=token,
                confirm=True,
                automatic_payment_methods={"enabled": True, "allow_redirects": "never"},
            )
        except Exception as error:
            assert "card" in str(error)  # noqa: PT017
    first, second = (
        shop.customer(app, "first", "pm_card_mastercard"),
        shop.customer(app, "second", "pm_card_mastercard"),
    )
    foreign = shop.customer(app, "foreign", "pm_card_discover")
    bench.sandbox.post(f"/v1/customers/{foreign}", address={"country": "DE"})
    unknown = bench.sandbox.post("/v1/customers", email="first@example.com")["id"]
    shop.use_card(unknown, "pm_card_diners")
    shop.subscribe(unknown)
    silent = bench.sandbox.post("/v1/customers")["id"]
    shop.subscribe(silent, trial_period_days=10)
    shop.hear(app)
    rows = found(app)
    assert rows == {
        "tried_cards": {tried},
        "disputed": {disputed},
        "shared_card": {first, second},
        "foreign_card": {foreign},
        "same_email": {first, unknown},
        "no_user": {unknown},
        "no_email": {silent},
        "no_card": {silent},
    }
    assert found(app, fraud=False).keys() == {"same_email", "no_user", "no_email", "no_card"}
