"""The resources, one module each. Importing a module declares its fields and its operations."""

from importlib import import_module

from stripe_sandbox import events
from stripe_sandbox.call import Call
from stripe_sandbox.clock import Clock
from stripe_sandbox.store import Store

_MODULES = (
    "accounts",
    "customers",
    "payment_methods",
    "products",
    "prices",
    "meters",
    "meter_events",
    "coupons",
    "promotion_codes",
    "discounts",
    "tax_rates",
    "tax_ids",
    "payment_intents",
    "setup_intents",
    "charges",
    "balance_transactions",
    "refunds",
    "disputes",
    "invoiceitems",
    "invoices",
    "invoice_lines",
    "invoice_payments",
    "credit_notes",
    "customer_balance_transactions",
    "subscriptions",
    "subscription_items",
    "subscription_schedules",
    "previews",
    "test_clocks",
    "webhook_endpoints",
    "search",
    "checkout_sessions",
    "billing_portal",
)


def load() -> None:
    assert events.EVENT
    for name in _MODULES:
        import_module(f"{__name__}.{name}")
    for name in ("dunning", "renewals"):
        import_module(f"stripe_sandbox.billing.{name}")


def prepare(store: Store, clock: Clock) -> None:
    """What every sandbox has from the start: its account."""
    from stripe_sandbox.resources import accounts

    with store.transaction():
        accounts.ensure(Call(store, clock))
