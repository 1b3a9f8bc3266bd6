"""Root causes of issues 4.1 to 4.3 are told apart, and a healthy draft is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from metering import app_on
from nself.app import App
from nself.diagnosis import Look
from nself.domains.invoice.service.causes import CAUSES
from nself.domains.mirror import service as mirror
from nself.domains.mirror.model import Picture

NOW = datetime.fromisoformat("2026-02-01T12:00:00+00:00")
TEXAS = {"country": "US", "state": "TX", "postal_code": "78701"}
PRICES = {
    "price_once": ("prod_1", 500, None), "price_plan": ("prod_2", 2900, "month"), "price_other": ("prod_2", 9900, "month"),
}  # fmt: skip
"""Product, cents, interval."""


@contextmanager
def project(folder: Path, database: str, **settings: str) -> Iterator[App]:
    with app_on(folder, database, lambda: NOW, **settings) as app:
        for id, (product, cents, interval) in PRICES.items():
            keep(app, price(id, product, cents, interval))
        keep(app, customer())
        yield app


@pytest.fixture
def app(tmp_path: Path, database: str) -> Iterator[App]:
    with project(tmp_path / "project", database) as made:
        yield made


def keep(app: App, snapshot: dict[str, Any], source: str = "webhook evt_1") -> None:
    picture = Picture({"livemode": False, "created": 1_700_000_000, **snapshot}, mirror.draw(app), source)
    app.db.transact(lambda tx: mirror.accept(app, tx, picture))


def price(id: str, product: str, cents: int, interval: str | None) -> dict[str, Any]:
    recurring = {"interval": interval, "interval_count": 1, "usage_type": "licensed"} if interval else None
    return {
        "object": "price", "id": id, "product": product, "currency": "usd", "unit_amount": cents, "unit_amount_decimal": str(cents),
        "billing_scheme": "per_unit", "transform_quantity": None, "active": True, "recurring": recurring,
        "type": "recurring" if interval else "one_time",
    }  # fmt: skip


def customer(**changes: Any) -> dict[str, Any]:
    given = {"email": "user@example.com", "name": "Jane", "balance": 0, "address": TEXAS, "currency": "usd"}
    return {"object": "customer", "id": "cus_1", **given, **changes}


def line(amount: int, id: str = "il_1", price: str | None = None, quantity: int = 1, **more: Any) -> dict[str, Any]:
    pricing = {"type": "price_details", "price_details": {"price": price, "product": "prod_1"}} if price else None
    parent = {"type": "invoice_item_details", "invoice_item_details": {"invoice_item": "ii_1", "proration": False}}
    period = {"start": int(NOW.timestamp()), "end": int(NOW.timestamp())}
    return {
        "object": "line_item", "id": id, "amount": amount, "currency": "usd", "quantity": quantity, "pricing": pricing,
        "metadata": {}, "period": period, "parent": parent, **more,
    }  # fmt: skip


def draft(*lines: dict[str, Any], age: float = 3600, id: str = "in_1", **changes: Any) -> dict[str, Any]:
    """`age` in seconds."""
    return {
        "object": "invoice", "id": id, "customer": "cus_1", "customer_email": "user@example.com", "status": "draft",
        "currency": "usd", "total": sum(one["amount"] for one in lines), "amount_due": 0, "amount_paid": 0, "amount_remaining": 0,
        "auto_advance": False, "automatic_tax": {"enabled": False, "status": None}, "total_taxes": [], "default_tax_rates": [],
        "lines": {"object": "list", "data": list(lines), "has_more": False}, "created": int((NOW - timedelta(seconds=age)).timestamp()), **changes,
    }  # fmt: skip


def found(app: App) -> set[str]:
    look = Look(app)
    return {cause.id for cause in CAUSES if cause.detect(look)}


PRICED = line(1500, price="price_once", quantity=3)
TAXING: Callable[[str], dict[str, Any]] = lambda status: {"automatic_tax": {"enabled": True, "status": status}}  # noqa: E731


def test_a_draft_with_lines_an_address_and_an_email_is_no_finding(app: App) -> None:
    keep(app, draft(PRICED, line(700, id="il_2")))
    keep(app, draft(PRICED, id="in_2", **TAXING("complete")))
    assert found(app) == set()


@pytest.mark.parametrize(
    "invoice, cause",
    [
        (draft(), "4.1.1"),
        (draft(age=60), None),
        (draft(age=7200, auto_advance=True), None),
        (draft(age=20_000, auto_advance=True), "4.1.1"),
        (draft(line(500), line(-500, id="il_2")), "4.1.2"),
        (draft(line(500), line(-500, id="il_2"), status="paid"), None),
        (draft(PRICED, customer_email=None), None),
        (draft(PRICED, **TAXING("failed")), "4.1.4"),
        (draft(PRICED, **TAXING("requires_location_inputs")), "4.1.4"),
    ],
)
def test_what_is_in_a_drafts_way(app: App, invoice: dict[str, Any], cause: str | None) -> None:
    keep(app, invoice)
    assert found(app) == ({cause} if cause else set())


def test_nobody_to_be_sent_to_is_neither_draft_nor_customer_with_an_email(app: App) -> None:
    keep(app, draft(PRICED, customer_email=None))
    keep(app, customer(email=None))
    assert found(app) == {"4.1.3"}


def test_without_an_address_it_is_the_address_that_is_missing(app: App) -> None:
    keep(app, customer(address=None))
    keep(app, draft(PRICED, **TAXING("requires_location_inputs")))
    assert found(app) == {"4.3.2"}


def test_an_amount_that_its_price_does_not_make(app: App) -> None:
    keep(app, draft(line(1501, price="price_once", quantity=3)))
    assert found(app) == {"4.2.1"}


def test_a_period_of_another_plan_than_the_customers(app: App) -> None:
    other = line(9900, metadata={"nself_price": "price_other", "nself_quantity": "1"})
    keep(app, draft(other))
    assert found(app) == set()
    keep(app, subscription("price_plan"))
    assert found(app) == {"4.2.1"}
    keep(app, subscription("price_other"))
    assert found(app) == set()


def subscription(price: str) -> dict[str, Any]:
    day = 86_400
    start = int(NOW.timestamp()) - 11 * day
    item = {"id": "si_1", "price": {"id": price, "product": "prod_2"}, "quantity": 1, "current_period_start": start}
    return {
        "object": "subscription", "id": "sub_1", "customer": "cus_1", "status": "active", "currency": "usd", "trial_start": None,
        "trial_end": None, "billing_cycle_anchor": start, "items": {"data": [{**item, "current_period_end": start + 31 * day}]},
    }  # fmt: skip


def test_a_line_that_hands_changed_until_it_is_as_it_was(app: App) -> None:
    keep(app, draft(PRICED))
    keep(app, draft(line(9900, price="price_once", quantity=3)))
    assert found(app) == {"4.2.4"}
    keep(app, draft(PRICED))
    assert found(app) == set()


def test_a_line_that_is_made_anew_is_nobodys_adjustment(app: App) -> None:
    keep(app, draft(PRICED))
    keep(app, draft(line(2500, id="il_9", price="price_once", quantity=5)))
    assert found(app) == set()


def test_a_share_of_a_period_is_worked_out_to_the_second(app: App) -> None:
    keep(app, subscription("price_plan"))
    now, end = int(NOW.timestamp()), int(NOW.timestamp()) + 20 * 86_400
    details = {"proration": True, "subscription": "sub_1", "subscription_item": "si_1", "invoice_item": "ii_1"}
    parent = {"type": "subscription_item_details", "subscription_item_details": details}
    share = line(1871, price="price_plan", parent=parent, period={"start": now, "end": end})  # 2900 * 20 / 31
    keep(app, draft(share))
    assert found(app) == set()
    keep(app, draft({**share, "id": "il_2", "amount": 2900}))
    assert found(app) == {"4.2.3"}


def test_tax_that_was_never_wanted_is_not_missed(tmp_path: Path, database: str) -> None:
    with project(tmp_path / "one", database) as app:
        keep(app, draft(PRICED))
        assert found(app) == set()
        keep(app, draft(PRICED, id="in_0", status="paid", age=86_400, total_taxes=[{"amount": 100}]))
        assert found(app) == {"4.3.1"}
        keep(app, draft(PRICED, total_taxes=[{"amount": 100}]))
        assert found(app) == set()
    with project(tmp_path / "two", database, STRIPE_TAX_RATES="txr_1") as app:
        assert found(app) == {"4.3.1"}


def test_a_rate_has_to_be_active(tmp_path: Path, database: str) -> None:
    rate = {"object": "tax_rate", "id": "txr_1", "display_name": "VAT", "percentage": 19, "inclusive": False}
    with project(tmp_path / "project", database, STRIPE_TAX_RATES="txr_1", STRIPE_TAX_CALCULATION="rates") as app:
        assert found(app) == {"4.3.4"}
        keep(app, {**rate, "active": True})
        assert found(app) == set()
        keep(app, {**rate, "active": False})
        assert found(app) == {"4.3.4"}


@pytest.mark.parametrize("status, cause", [("unverified", {"4.3.3"}), ("pending", set()), ("unavailable", set())])
def test_a_tax_id_that_its_authority_does_not_know(app: App, status: str, cause: set[str]) -> None:
    tax_id = {"id": "txi_1", "type": "eu_vat", "value": "DE111111111", "verification": {"status": status}}
    keep(app, customer(tax_ids={"data": [tax_id]}))
    assert found(app) == cause
