"""BILLING_SAFE_MODE and BILLING_GRACEFUL_DEGRADATION: what goes on and what does not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from money_bench import Bench

from nself.app import App
from nself.core.errors import SafeMode
from nself.domains.catalog import service as catalog
from nself.domains.catalog.inputs import ShowPrice
from nself.domains.catalog.model import StripePrice
from nself.domains.connection.service import change
from nself.domains.customer import service as customer
from nself.domains.customer.inputs import ShowCustomer
from nself.domains.notification.model import Note
from nself.domains.notification.service import outbox
from nself.domains.quota.inputs import CheckQuota
from nself.domains.quota.service import ask
from nself.domains.setting import service as settings
from nself.domains.setting.inputs import SetSettings
from nself.domains.usage.inputs import RecordUsage
from nself.domains.usage.service import record
from nself.domains.webhook.service import process
from nself.gateway.errors import NoAnswer

MAIL = {"MAIL_ENABLED": "true", "MAIL_FROM": "billing@example.com"}


def test_in_safe_mode_all_is_recorded_and_nothing_is_done(bench: Bench) -> None:
    bench.use(bench.app(), "u", 40)
    bench.create(bench.app(), "u")
    bench.deliver(bench.app())
    bench.work(bench.app())
    began = bench.app()
    wish = change.wish("test:begun", "customers", params={"email": "begun@example.com"})
    began.db.transact(lambda tx: change.plan(tx, wish, False))

    safe = bench.app(BILLING_SAFE_MODE="true", **MAIL)
    record.record(safe, RecordUsage(user="u", metric="api_calls", value=5, at="2026-01-16T10:00:00Z"))
    event = bench.sandbox.post("/v1/customers", email="webhook@example.com")["id"]
    bench.deliver(safe)
    note = Note(kind="test", email="u@example.com", data={}, subject="s", text="t")
    safe.db.transact(lambda tx: outbox.post(safe, tx, [note], safe.clock()))
    assert process.process_due(safe) + outbox.send_due(safe, "mail") + outbox.send_due(safe, "webhook") == 0
    bench.work(safe)
    with pytest.raises(SafeMode) as refused:
        bench.bill(safe, "u")
    assert (refused.value.exit_code, refused.value.hint[0]) == (4, "nself env set BILLING_SAFE_MODE=false")
    with pytest.raises(SafeMode):
        change.finish(safe, "test:begun")

    assert bench.sandbox.customers("begun@example.com") == []
    assert bench.sandbox.get("/v1/invoices", limit=100) == []
    assert "received" in {status for _, status in bench.events()}
    assert bench.sql("select state from billing_notifications") == [("queued",)]
    assert bench.sql("select 1 from billing_customers where customer_id = %s", event) == []
    ((used,),) = bench.sql("select sum(value) from billing_usage where user_id = 'u'")
    assert used == 45

    normal = bench.app()
    bench.work(normal)
    assert len(bench.sandbox.customers("begun@example.com")) == 1
    assert bench.sql("select 1 from billing_customers where customer_id = %s", event) == [(1,)]
    assert bench.bill(normal, "u").total_minor == 125


def show(app: App, price: str) -> StripePrice:
    shown = catalog.show_price(app, ShowPrice(price=price))
    assert isinstance(shown, StripePrice)
    return shown


def test_while_stripe_is_away_reads_answer_from_the_mirror_and_say_its_age(bench: Bench) -> None:
    app, graceful = bench.app(), bench.app(BILLING_GRACEFUL_DEGRADATION="true")
    product = bench.sandbox.post("/v1/products", name="Pro")["id"]
    price = bench.sandbox.post("/v1/prices", product=product, currency="usd", unit_amount=1900)["id"]
    bench.use(app, "u", 40)
    bench.create(app, "u")
    bench.deliver(app)
    bench.work(app)
    assert (show(graceful, price).as_of, show(graceful, price).remarks()) == (None, [])
    bench.sandbox.fault(".*", method=".*", times=100_000, drop=True)
    with pytest.raises(NoAnswer):
        show(app, price)
    found = show(graceful, price)
    assert found.amount == Decimal(19)
    assert found.as_of is not None
    assert "Stripe does not answer: this is from the mirror" in found.remarks()[0]
    with pytest.raises(NoAnswer):
        show(bench.app(BILLING_GRACEFUL_DEGRADATION="true"), "price_unknown")
    ((id,),) = bench.sql("select customer_id from billing_customers")
    assert customer.show(graceful, ShowCustomer(customer=id)).email == "u@example.com"
    assert ask.check(graceful, CheckQuota(user="u", metric="api_calls", value=1)).allowed


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("BILLING_QUEUE_PAYMENTS=true", "nself billing process-queue"),
        ("BILLING_QUEUE_PAYMENTS=false", "nself billing process-queue"),
        ("BILLING_SAFE_MODE=true", "Stripe goes on charging"),
    ],
)
def test_a_switch_tells_what_follows_from_it(bench: Bench, assignment: str, told: str) -> None:
    (written,) = settings.set_values(bench.app(), SetSettings(assignments=[assignment]))
    assert told in written.note
    assert "no effect" not in written.note
