"""Customers on test clocks: time goes where a test wants it, and nothing depends on the time of day."""

import time
from datetime import UTC, datetime
from typing import Any

from sandbox.conftest import Sdk

DAY = 86_400
HOUR = 3600


def at(text: str) -> int:
    """`2026-01-31T10:00`, in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def advance(api: Sdk, clock: str, to: int | str) -> Any:
    """Returns when all that was due has been done."""
    api.test_helpers.test_clocks.advance(clock, {"frozen_time": at(to) if isinstance(to, str) else to})
    return ready(api, clock)


def ready(api: Sdk, clock: str) -> Any:
    for asked in range(1000):
        found = api.test_helpers.test_clocks.retrieve(clock)
        if found.status != "advancing":
            assert found.status == "ready"
            return found
        time.sleep(min(0.005 * 1.2**asked, 1))
    raise AssertionError("the test clock does not arrive")


def clocked(api: Sdk, now: int | str, card: str | None = "pm_card_visa", **fields: Any) -> Any:
    """A customer on a test clock of its own."""
    clock = api.test_helpers.test_clocks.create({"frozen_time": at(now) if isinstance(now, str) else now})
    paying = {"payment_method": card, "invoice_settings": {"default_payment_method": card}} if card else {}
    return api.customers.create({"test_clock": clock.id, **paying, **fields})


def use_card(api: Sdk, customer: Any, card: str) -> Any:
    method = api.payment_methods.attach(card, {"customer": customer.id})
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
    return method


def price(api: Sdk, amount: int | str = 1000, interval: str = "month", currency: str = "usd", **fields: Any) -> Any:
    cost = {"unit_amount": amount} if isinstance(amount, int) else {"unit_amount_decimal": amount}
    recurring = {"interval": interval, **fields.pop("recurring", {})}
    priced = {} if "tiers" in fields else cost
    made = {"product_data": {"name": "Plan"}, "currency": currency, "recurring": recurring, **priced, **fields}
    return api.prices.create(made)


def subscribe(api: Sdk, customer: Any, *prices: Any, **fields: Any) -> Any:
    items = [{"price": one.id} for one in prices]
    return api.subscriptions.create({"customer": customer.id, "items": items, **fields})


def invoices(api: Sdk, subscription: Any) -> list[Any]:
    """Oldest first."""
    return api.invoices.list({"subscription": subscription.id, "limit": 100}).data[::-1]


def lines(invoice: Any) -> list[tuple[int, int, int]]:
    """Amount, start and end of each line."""
    return [(line.amount, line.period.start, line.period.end) for line in invoice.lines.data]
