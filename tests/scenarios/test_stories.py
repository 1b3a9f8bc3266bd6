"""Lives of subscriptions with a moved clock: what Stripe says, what is stored, what is charged and what is mailed at each step."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from money_bench import Bench
from money_fixtures import bench, sandbox

from nself.app import App
from nself.core.errors import BillingError, Declined
from nself.domains.customer import service as customers
from nself.domains.customer.inputs import SetTaxId, UpdateCustomer
from nself.domains.invoice.inputs import Audit, ExplainInvoice, GenerateInvoices
from nself.domains.invoice.service import audit, explain
from nself.domains.invoice.service.generate import generate
from nself.domains.payment.inputs import CreateRefund
from nself.domains.payment.service import refunds
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import show as quotas
from nself.domains.quota.service.limits import set_quota
from nself.domains.subscription.inputs import (
    CancelSubscription,
    CreateSubscription,
    ReactivateSubscription,
    UpdateSubscription,
)
from nself.domains.subscription.service import cancel, create, tell, update
from nself.domains.usage.inputs import RecordUsage
from nself.domains.usage.service import record
from subscribing import CARD, DAY, FAILING, Shop
from telling import Mailbox, Receiver, mailbox, receiver, send_all, settings

__all__ = ["bench", "mailbox", "receiver", "sandbox"]
OPENED = {"invoice.created", "invoice.finalized", "invoice.updated", "customer.updated"}
SETTLED = {"invoice.paid", "invoice.payment_succeeded"}
TAKEN = {"charge.succeeded", "payment_intent.succeeded", "invoice_payment.paid"}
RENEWED = OPENED | SETTLED | TAKEN | {"payment_intent.created", "customer.subscription.updated"}
BEGUN = RENEWED | {"customer.subscription.created"}
FAILED = {"charge.failed", "invoice.payment_failed", "payment_intent.payment_failed", "invoice.updated"}
DECLINED = "Your payment of 29.00 USD failed"
ENDED = "Your subscription has ended"


class Story:
    """One user. Each step names all that came of it; what is not named must not have happened."""

    def __init__(self, shop: Shop, mailbox: Mailbox, card: str | None = CARD, **environ: str) -> None:
        self.shop, self.bench, self.sandbox, self.mailbox = shop, shop.bench, shop.sandbox, mailbox
        self.ahead, self.mails, self.events = timedelta(0), 0, len(shop.events())
        self.app: App = shop.app(self.now, **environ)
        self.customer = shop.customer(self.app, "user1", card or CARD)
        if card is None:
            (method,) = self.sandbox.get(f"/v1/customers/{self.customer}/payment_methods")
            self.sandbox.post(f"/v1/payment_methods/{method['id']}/detach")
        self.subscription = ""
        self._hear()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def days_until(self, day: int) -> int:
        """Until the next one that has such a day."""
        return next(ahead for ahead in range(1, 70) if (self.now() + timedelta(days=ahead)).day == day)

    def month(self) -> int:
        """Days of the period that runs."""
        item = self.shop.get(self.subscription)["items"]["data"][0]
        return (item["current_period_end"] - item["current_period_start"]) // DAY

    def half(self) -> float:
        return self.month() / 2

    def subscribe(self, price: str, **more: Any) -> None:
        try:
            given = CreateSubscription(customer=self.customer, price=price, **more)
            self.subscription = create.create(self.app, given).id
        finally:
            (one,) = self.sandbox.get("/v1/subscriptions", customer=self.customer, status="all") or [{"id": ""}]
            self.subscription = str(one["id"])

    def change(self, **fields: Any) -> None:
        update.update(self.app, UpdateSubscription(subscription=self.subscription, **fields))

    def passes(self, days: float, step: float = 1) -> None:
        """At most `step` days at once; the worker works in between."""
        while days > 0:
            now = min(days, step)
            self.shop.pass_days(now)
            self.ahead += timedelta(seconds=int(now * DAY))
            tell.tell_trials(self.app)
            self.shop.hear(self.app)
            send_all(self.app)
            days -= now

    def _hear(self) -> tuple[Counter[str], list[str]]:
        self.shop.hear(self.app)
        send_all(self.app)
        events = self.shop.events()
        new, self.events = events[self.events :], len(events)
        mails, self.mails = self.mailbox.mails[self.mails :], len(self.mailbox.mails)
        return Counter(one["type"] for one in new), [str(mail["Subject"]) for mail in mails]

    def then(
        self, events: set[str], mails: list[str] | None = None, *, status: str, invoices: list[tuple[str, int]], charged: list[int]
    ) -> None:  # fmt: skip
        """`events` are the types that were new, `mails` their subjects; invoices (status, total) and charges oldest first."""
        said, told = self._hear()
        assert set(said) == events, (sorted(set(said) - events), sorted(events - set(said)))
        assert sorted(told) == sorted(mails or [])
        rows = self.bench.sql(
            "select status from billing_subscriptions where object_id = %s and not deleted", self.subscription
        )
        assert rows == [(status,)]
        theirs = [(one["status"], one["total"]) for one in self.sandbox.invoices(self.customer)][::-1]
        ours = self.bench.sql(
            "select status, (snapshot ->> 'total')::bigint from billing_invoices order by created_at, snapshot_number"
        )
        assert sorted(ours) == sorted(theirs) == sorted(invoices)
        taken = self.bench.sql(
            "select (snapshot ->> 'amount_captured')::bigint from billing_charges where status = 'succeeded' order by created_at"
        )
        assert [amount for (amount,) in taken] == charged
        assert [one["amount_received"] for one in self.sandbox.payments(self.customer)][::-1] == charged
        for (id,) in self.bench.sql("select invoice_id from billing_invoices where status <> 'draft'"):
            found = audit.audit(self.app, Audit(invoice=id))
            assert found.differences == 0, found
        assert self.bench.differences() == []


@pytest.fixture
def shop(bench: Bench, mailbox: Mailbox, receiver: Receiver) -> Shop:
    return Shop(bench, settings(mailbox, receiver))


@pytest.fixture
def story(shop: Shop, mailbox: Mailbox) -> Story:
    return Story(shop, mailbox)


@pytest.fixture
def pro(shop: Shop) -> str:
    return shop.price(2900, metadata={"plan": "pro"})


@pytest.fixture
def big(shop: Shop) -> str:
    return shop.price(9900, metadata={"plan": "enterprise"})


@pytest.fixture
def yearly(shop: Shop) -> str:
    return shop.price(29000, recurring={"interval": "year"}, metadata={"plan": "pro"})


def begins(story: Story, price: str, total: int = 2900, **more: Any) -> None:
    story.subscribe(price, **more)
    story.then(BEGUN, status="active", invoices=[("paid", total)], charged=[total])


def ends_on(story: Story) -> str:
    return f"Your trial ends on {datetime.fromtimestamp(story.shop.get(story.subscription)['trial_end'], UTC):%Y-%m-%d}"


def test_a_trial_becomes_a_paid_subscription(pro: str, story: Story):
    story.subscribe(pro, trial_days=14)
    story.then(
        OPENED | SETTLED | {"customer.subscription.created"}, status="trialing", invoices=[("paid", 0)], charged=[]
    )
    told = ends_on(story)
    story.passes(12)
    story.then({"customer.subscription.trial_will_end"}, [told], status="trialing", invoices=[("paid", 0)], charged=[])
    story.passes(3)
    story.then(RENEWED, status="active", invoices=[("paid", 0), ("paid", 2900)], charged=[2900])


def test_a_trial_without_a_card_ends_past_due(pro: str, shop: Shop, mailbox: Mailbox):
    story = Story(shop, mailbox, card=None)
    story.subscribe(pro, trial_days=7)
    story.then(
        OPENED | SETTLED | {"customer.subscription.created"}, status="trialing", invoices=[("paid", 0)], charged=[]
    )
    told = ends_on(story)
    story.passes(8)
    story.then(
        OPENED | {"customer.subscription.trial_will_end", "customer.subscription.updated", "invoice.payment_failed", "payment_intent.created"},
        [told, DECLINED], status="past_due", invoices=[("paid", 0), ("open", 2900)], charged=[],
    )  # fmt: skip


def test_an_upgrade_in_mid_month_is_charged_with_the_next_invoice(pro: str, big: str, story: Story):
    begins(story, pro)
    story.passes(story.half())
    story.change(price=big)
    story.then(
        {"customer.subscription.updated", "invoiceitem.created"},
        status="active",
        invoices=[("paid", 2900)],
        charged=[2900],
    )
    story.passes(story.half() + 2)
    total = 9900 - 1450 + 4950  # half of what was paid is given back, half of the other costs that much
    story.then(RENEWED, status="active", invoices=[("paid", 2900), ("paid", total)], charged=[2900, total])


def test_a_downgrade_in_mid_month_is_credited_with_the_next_invoice(pro: str, big: str, story: Story):
    begins(story, big, 9900)
    story.passes(story.half())
    story.change(price=pro)
    story.then(
        {"customer.subscription.updated", "invoiceitem.created"},
        status="active",
        invoices=[("paid", 9900)],
        charged=[9900],
    )
    story.passes(story.half() + 2)
    total = 2900 - 4950 + 1450
    story.then(
        OPENED | SETTLED | {"customer.subscription.updated"}, status="active", invoices=[("paid", 9900), ("paid", total)], charged=[9900]
    )  # fmt: skip
    assert story.sandbox.get(f"/v1/customers/{story.customer}")["balance"] == total


def test_who_subscribes_on_the_31st_is_renewed_on_the_last_day_of_shorter_months(pro: str, story: Story):
    story.passes(story.days_until(31), step=5)
    story._hear()
    begins(story, pro)
    ends, charged = list[int](), [2900]
    for _ in range(4):
        period = story.shop.get(story.subscription)["items"]["data"][0]
        ends.append(datetime.fromtimestamp(period["current_period_end"], UTC).day)
        story.passes((period["current_period_end"] - story.now().timestamp()) / DAY + 0.1, step=10)
        charged.append(2900)
    story.then(RENEWED, status="active", invoices=[("paid", 2900)] * 5, charged=charged)
    assert set(ends) <= {28, 29, 30, 31} and 31 in ends and min(ends) < 31


def test_from_a_year_to_months_the_rest_of_the_year_is_credit(pro: str, yearly: str, story: Story):
    begins(story, yearly, 29000)
    story.passes(30, step=10)
    item = story.shop.get(story.subscription)["items"]["data"][0]
    story.change(price=pro)
    days = (item["current_period_end"] - item["current_period_start"]) // DAY
    total = 2900 - round(29000 * (days - 30) / days)
    story.then(
        OPENED | SETTLED | {"customer.subscription.updated", "invoiceitem.created"}, status="active",
        invoices=[("paid", 29000), ("paid", total)], charged=[29000],
    )  # fmt: skip


def test_a_renewal_that_fails_ends_the_subscription_after_all_attempts(pro: str, story: Story):
    begins(story, pro)
    story.shop.use_card(story.customer, FAILING)
    story.passes(story.month() + 2)
    story.then(
        OPENED | FAILED | {"customer.subscription.updated", "payment_intent.created", "payment_method.attached"}, [DECLINED],
        status="past_due", invoices=[("paid", 2900), ("open", 2900)], charged=[2900],
    )  # fmt: skip
    story.passes(25)
    story.then(
        FAILED | {"customer.subscription.deleted"}, [DECLINED] * 3 + [f"{DECLINED} for the last time", ENDED],
        status="canceled", invoices=[("paid", 2900), ("open", 2900)], charged=[2900],
    )  # fmt: skip


def test_a_renewal_that_fails_is_recovered_with_another_card(pro: str, story: Story):
    begins(story, pro)
    story.shop.use_card(story.customer, FAILING)
    story.passes(story.month() + 2)
    story.then(
        OPENED | FAILED | {"customer.subscription.updated", "payment_intent.created", "payment_method.attached"}, [DECLINED],
        status="past_due", invoices=[("paid", 2900), ("open", 2900)], charged=[2900],
    )  # fmt: skip
    story.shop.use_card(story.customer, CARD)
    story.passes(8)
    story.then(
        SETTLED | TAKEN | {"customer.subscription.updated", "customer.updated", "invoice.updated", "payment_method.attached"},
        status="active", invoices=[("paid", 2900)] * 2, charged=[2900] * 2,
    )  # fmt: skip


def test_3d_secure_waits_for_the_customer_and_mails_nobody(pro: str, shop: Shop, mailbox: Mailbox):
    story = Story(shop, mailbox, card="pm_card_threeDSecure2Required")
    with pytest.raises(Declined, match="requires customer action"):
        story.subscribe(pro)
    story.then(
        OPENED | {"customer.subscription.created", "invoice.payment_action_required", "invoice.payment_failed", "payment_intent.created", "payment_intent.requires_action"},
        status="incomplete", invoices=[("open", 2900)], charged=[],
    )  # fmt: skip
    (intent,) = story.sandbox.get("/v1/payment_intents", customer=story.customer)
    card = story.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=story.customer)["id"]
    story.sandbox.post(f"/v1/payment_intents/{intent['id']}/confirm", payment_method=card)
    story.then(
        SETTLED | TAKEN | {"customer.subscription.updated", "invoice.updated", "payment_method.attached"},
        status="active", invoices=[("paid", 2900)], charged=[2900],
    )  # fmt: skip


def test_refunds_in_parts_and_of_the_rest(pro: str, story: Story):
    begins(story, pro)
    (charge,) = story.sandbox.get("/v1/charges", customer=story.customer)
    for amount, refunded in ((900, 900), (None, 2900)):
        given = CreateRefund(charge=charge["id"], amount=amount, reason="requested_by_customer")
        refunds.create(story.app, given)
        story.then({"charge.refunded", "refund.created"}, status="active", invoices=[("paid", 2900)], charged=[2900])
        assert story.sandbox.get(f"/v1/charges/{charge['id']}")["amount_refunded"] == refunded
    with pytest.raises(BillingError, match=r"already been refunded|nothing is left"):
        refunds.create(story.app, CreateRefund(charge=charge["id"], reason="requested_by_customer"))


def test_a_disputed_charge_is_told_to_programs_and_the_subscription_goes_on(pro: str, shop: Shop, mailbox: Mailbox):
    story = Story(shop, mailbox, card="pm_card_createDispute")
    story.subscribe(pro)
    story.then(
        BEGUN | {"charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.updated"},
        status="active", invoices=[("paid", 2900)], charged=[2900],
    )  # fmt: skip
    assert shop.told("webhook", "dispute.created") == ["dispute.created"]


def test_a_coupon_for_two_months(pro: str, story: Story):
    coupon = story.sandbox.post("/v1/coupons", percent_off="25", duration="repeating", duration_in_months=2)["id"]
    story.subscribe(pro, coupon=coupon)
    story.then(
        BEGUN | {"coupon.created", "customer.discount.created"},
        status="active",
        invoices=[("paid", 2175)],
        charged=[2175],
    )
    for charged in ([2175, 2175], [2175, 2175, 2900]):
        story.passes(story.month() + 1, step=10)
        story.then(RENEWED, status="active", invoices=[("paid", one) for one in charged], charged=charged)


def test_a_tax_id_that_comes_late_reverses_the_charge_of_tax(pro: str, shop: Shop, mailbox: Mailbox):
    story = Story(shop, mailbox, STRIPE_TAX_CALCULATION="automatic")
    home = {
        "address_line1": "Str. 1",
        "address_city": "Berlin",
        "address_postal_code": "10115",
        "address_country": "DE",
    }
    customers.update(story.app, UpdateCustomer(customer=story.customer, **home))
    begins(story, pro, 3451)  # with 19 % of tax: 551
    customers.set_tax_id(story.app, SetTaxId(customer=story.customer, type="eu_vat", value="DE136695976"))
    story.passes(story.month() + 1, step=10)
    story.then(
        RENEWED | {"customer.tax_id.created"}, status="active", invoices=[("paid", 3451), ("paid", 2900)], charged=[3451, 2900]
    )  # fmt: skip


def test_canceled_at_once(pro: str, story: Story):
    begins(story, pro)
    cancel.cancel(story.app, CancelSubscription(subscription=story.subscription, immediate=True))
    story.then({"customer.subscription.deleted"}, [ENDED], status="canceled", invoices=[("paid", 2900)], charged=[2900])


def test_canceled_at_the_end_of_the_period(pro: str, story: Story):
    begins(story, pro)
    cancel.cancel(story.app, CancelSubscription(subscription=story.subscription, at_period_end=True))
    story.then({"customer.subscription.updated"}, status="active", invoices=[("paid", 2900)], charged=[2900])
    story.passes(story.month() + 1, step=10)
    story.then({"customer.subscription.deleted"}, [ENDED], status="canceled", invoices=[("paid", 2900)], charged=[2900])


def test_canceled_and_taken_back(pro: str, story: Story):
    begins(story, pro)
    cancel.cancel(story.app, CancelSubscription(subscription=story.subscription, at_period_end=True))
    story.passes(3)
    cancel.reactivate(story.app, ReactivateSubscription(subscription=story.subscription))
    story.then({"customer.subscription.updated"}, status="active", invoices=[("paid", 2900)], charged=[2900])
    story.passes(story.month() - 1, step=10)
    story.then(RENEWED, status="active", invoices=[("paid", 2900)] * 2, charged=[2900] * 2)


BILLED = OPENED | SETTLED | TAKEN | {"payment_intent.created", "invoiceitem.created"}


def why(story: Story, invoice: str) -> list[str]:
    """What `invoice explain` says of the only line: amount, rounding, price and quota."""
    (line,) = explain.explain(story.app, ExplainInvoice(invoice=invoice)).lines
    assert line.overage
    told = [" ".join(one.split()) for one in line.overage.plain()]
    return [one for one in told if one.split()[0] in ("amount", "rounding", "price", "quota")]


def test_usage_above_what_the_plan_includes_is_billed_after_the_month(pro: str, story: Story):
    """29.00 a month with 1000 calls; each call above them costs 5 cents. What comes late is billed by itself."""
    app = story.app
    set_quota(app, SetQuota(plan="pro", metric="api_calls", limit=1000, mode="overage"))
    story.passes(story.days_until(1) + 0.2, step=5)
    story._hear()
    begins(story, pro)
    month, at = f"{story.now():%Y-%m}", f"{story.now():%Y-%m-%dT%H:%M:%SZ}"
    for value, told in ((600, ["50"]), (650, ["80", "100"])):
        story.passes(3)
        record.record(app, RecordUsage(user="user1", metric="api_calls", value=value, key=f"job-{value}"))
        quotas.sweep(app)
        mails = [f"{percent} % of the api_calls quota is used" for percent in told]
        story.then(set(), mails, status="active", invoices=[("paid", 2900)], charged=[2900])
    story.passes(story.month() - 3, step=10)
    story.then(RENEWED, status="active", invoices=[("paid", 2900)] * 2, charged=[2900] * 2)

    price, first, late = "price flat, at all times: 0.05 usd / 1", 250 * 5, 30 * 5
    generate(app, GenerateInvoices(period=month))
    story.then(BILLED, status="active", invoices=[("paid", 2900)] * 2 + [("paid", first)], charged=[2900, 2900, first])
    assert why(story, story.sandbox.invoices(story.customer)[0]["id"]) == [
        f"amount 12.50 USD for {month} - 0.00 USD billed before", "rounding 12.5 usd, half up, once: 12.50 USD",
        price, "quota 1250 used - 1000 included = 250 request above it",
    ]  # fmt: skip
    record.record(app, RecordUsage(user="user1", metric="api_calls", value=30, key="job-late", at=at))
    for _ in range(2):  # the second finds nothing left to bill
        generate(app, GenerateInvoices(period=month))
    paid = [("paid", 2900)] * 2 + [("paid", first), ("paid", late)]
    story.then(BILLED, status="active", invoices=paid, charged=[2900, 2900, first, late])
    assert why(story, story.sandbox.invoices(story.customer)[0]["id"]) == [
        f"amount 14.00 USD for {month} - 12.50 USD billed before", "rounding 14 usd, half up, once: 14.00 USD",
        price, "quota 1280 used - 1000 included = 280 request above it",
    ]  # fmt: skip
    rows = story.bench.sql(
        "select kind, channel from billing_notifications where kind like 'quota%%' order by kind, channel"
    )
    assert rows == [("quota.exceeded", way) for way in ("mail", "webhook")] + [
        ("quota.threshold", way) for way in ("mail", "mail", "webhook", "webhook")
    ]
    assert story.bench.sql("select amount_minor from billing_invoice_plan_lines order by amount_minor") == [
        (late,),
        (first,),
    ]
    story.bench.check_law()
