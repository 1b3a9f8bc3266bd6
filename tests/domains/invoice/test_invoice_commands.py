"""Invoices made, edited and ended by hand, at a real sandbox; each refusal with its way out."""

from __future__ import annotations

import re

import pytest
from billing_hand import Hand
from money_bench import AT, MONTH, Bench

from nself.core.errors import ExclusiveParameters, InvalidParameter, MissingParameter
from nself.db.connect import Database
from nself.domains.connection.service import intents
from nself.domains.invoice.errors import (
    InvoiceNotEditable,
    LineOfSubscription,
    MailOff,
    NoEmail,
    NoItems,
    NoSuchInvoice,
    NoSuchLine,
    NotCreditable,
    NotPayable,
    NotVoidable,
    PaymentFailedBefore,
    PriceUnusable,
    TaxFailure,
    UsageIncomplete,
)
from nself.domains.invoice.inputs import (
    AddTax,
    CreateRate,
    Credit,
    ExplainInvoice,
    GenerateInvoices,
    ListInvoices,
    ListRates,
    Nothing,
    ReadInvoice,
    RemoveItem,
    Send,
    ShowErrors,
    ShowInvoice,
    Upcoming,
    UpdateInvoice,
    Void,
)
from nself.domains.invoice.model import InvoiceWithOverage
from nself.domains.invoice.service import edit, explain, finish, generate, preview, renew, send, show, tax, troubles
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import collector, record
from nself.gateway.errors import BelowMinimum, CardDeclined, NoSuchObject, NoSuchPrice


@pytest.fixture
def hand(bench: Bench) -> Hand:
    return Hand(bench)


def test_a_draft_is_made_changed_finalised_and_paid(hand: Hand):
    customer, price = hand.customer(), hand.price()
    made = hand.create(customer, price=price, quantity=3)
    assert (made.status, made.total_minor, made.lines) == ("draft", 4500, 1)
    added = hand.add(made.id, amount=50, description="Minimum charge")
    assert (added.total_minor, added.lines, added.notes) == (4550, 2, [])
    line = show.show_lines(hand.app, ReadInvoice(invoice=made.id))[1]
    assert (line.kind, line.amount_minor, line.description) == ("item", 50, "Minimum charge")
    gone = edit.remove_item(hand.app, RemoveItem(invoice=made.id, line_item=line.id))
    assert (gone.total_minor, gone.lines) == (4500, 1)
    hand.same(made.id)
    done = hand.finalize(made.id)
    assert (done.status, done.amount_due_minor) == ("open", 4500)
    paid = hand.pay(made.id)
    assert (paid.status, paid.amount_remaining_minor, paid.result) == ("paid", 0, "paid")
    assert hand.pay(made.id).result == "paid already: nothing was charged"
    assert hand.charged(customer) == [4500]
    hand.same(made.id)


def test_a_price_that_recurs_is_billed_for_one_period(hand: Hand):
    customer = hand.customer()
    price = hand.price("2900", recurring={"interval": "month"}, nickname="Pro")
    tiers = [{"up_to": 2, "unit_amount": 100, "flat_amount": 50}, {"up_to": "inf", "unit_amount": 10}]
    graduated = hand.price(
        tiers=tiers,
        billing_scheme="tiered",
        tiers_mode="graduated",
        recurring={"interval": "month", "interval_count": 3},
    )
    made = hand.create(customer)
    assert made.notes == [f"it has no items: nself billing invoice add-item {made.id} --price price_123 --quantity 1"]
    added = hand.add(made.id, price=price, quantity=2)
    assert (added.total_minor, added.notes) == (5800, [f"{price} recurs: a single period of it is billed"])
    assert hand.add(made.id, price=graduated, quantity=7).total_minor == 5800 + 50 + 200 + 50
    lines = show.show_lines(hand.app, ReadInvoice(invoice=made.id))
    assert [(one.price, one.quantity) for one in lines] == [(price, "2"), (graduated, "7")]
    assert [one.description for one in lines] == ["2 × Thing, one month", "7 × Thing, one 3 months"]


def test_only_drafts_are_editable_and_the_way_is_named(hand: Hand):
    customer, rate = hand.customer(), hand.rate()
    id = hand.create(customer, amount=1000, description="Work").id
    line = show.show_lines(hand.app, ReadInvoice(invoice=id))[0].id
    hand.finalize(id)
    for change in (
        lambda: hand.add(id, amount=1),
        lambda: edit.remove_item(hand.app, RemoveItem(invoice=id, line_item=line)),
        lambda: edit.add_tax(hand.app, AddTax(invoice=id, tax_rate=rate)),
        lambda: edit.update(hand.app, UpdateInvoice(invoice=id)),
        lambda: edit.recalculate(hand.app, ReadInvoice(invoice=id)),
        lambda: preview.preview(hand.app, ReadInvoice(invoice=id)),
        lambda: generate.command(hand.app, GenerateInvoices(invoice=id)),
    ):
        with pytest.raises(InvoiceNotEditable, match="is open and no longer editable") as refused:
            change()
        assert refused.value.code == "invoice_not_editable"
        assert f"nself billing invoice void {id} --reason billing_error" in refused.value.hint
    assert (hand.finalize(id).result, hand.there(id)["status"]) == ("finalised already: nothing changed", "open")
    hand.pay(id)
    with pytest.raises(InvoiceNotEditable, match=r"is paid.*Credit what is wrong"):
        renew.regenerate(hand.app, ReadInvoice(invoice=id))
    with pytest.raises(NotVoidable):
        finish.void(hand.app, Void(invoice=id, reason="wrong"))
    assert hand.there(id)["total"] == 1000


def test_unable_to_create_says_why(hand: Hand):
    empty = hand.create(hand.customer()).id
    with pytest.raises(NoItems, match="Unable to create invoice: it has no items"):
        hand.finalize(empty)
    nobody = hand.create(hand.customer(email=None), amount=500)
    assert "no email" in nobody.notes[0]
    with pytest.raises(NoEmail, match="Unable to create invoice: the customer has no email"):
        hand.finalize(nobody.id)
    assert hand.finalize(nobody.id, force=True).status == "open"
    zero = hand.create(hand.customer(), amount=0, description="Gift")
    assert "zero" in zero.notes[0]
    assert hand.finalize(zero.id).status == "paid"
    taxed = Hand(hand.bench, STRIPE_TAX_CALCULATION="automatic")
    nowhere = taxed.create(taxed.customer(), amount=500)
    assert "address is missing" in nowhere.notes[0]
    with pytest.raises(TaxFailure, match="Unable to create invoice: tax cannot be calculated"):
        taxed.finalize(nowhere.id)
    found = troubles.errors(hand.app, ShowErrors(last="24h"))
    assert {(one.invoice, one.code) for one in found} == {
        (empty, "invoice_no_items"),
        (nowhere.id, "customer_tax_location_invalid"),
    }
    with pytest.raises(InvalidParameter, match="Invalid duration"):
        troubles.errors(hand.app, ShowErrors(last="soon"))


def test_what_stripe_says_of_tax_when_it_finalises_is_told(hand: Hand):
    """The draft's own state came too late to be seen beforehand."""
    taxed = Hand(hand.bench, STRIPE_TAX_CALCULATION="automatic")
    customer = taxed.customer()
    id = taxed.create(customer, amount=500).id
    hand.sandbox.edit("invoice", id, automatic_tax={**hand.there(id)["automatic_tax"], "status": None})
    with pytest.raises(TaxFailure, match="location isn't recognized"):
        taxed.finalize(id)
    codes = [(one.code, one.invoice) for one in troubles.errors(hand.app, ShowErrors())]
    assert codes.count(("customer_tax_location_invalid", id)) == 2  # the step that was refused, and the draft itself
    taxed.same(id)
    hand.sandbox.post(f"/v1/customers/{customer}", address={"country": "US", "state": "CA", "postal_code": "94102"})
    assert taxed.finalize(id).total_minor == 500 + 36


def test_nothing_that_is_not_there_is_accepted(hand: Hand):
    customer = hand.customer()
    id = hand.create(customer, amount=500).id
    for wrong, error, words in (
        (lambda: hand.add("in_none", amount=5), NoSuchInvoice, "No such invoice: in_none"),
        (lambda: hand.add(id, price="price_none"), NoSuchPrice, "No such price: price_none"),
        (lambda: hand.create("cus_none", amount=5), NoSuchObject, "No such customer: cus_none"),
        (
            lambda: edit.add_tax(hand.app, AddTax(invoice=id, tax_rate="txr_none")),
            NoSuchObject,
            "No such tax rate: txr_none",
        ),
        (
            lambda: edit.remove_item(hand.app, RemoveItem(invoice=id, line_item="il_none")),
            NoSuchLine,
            "No such line item",
        ),
        (lambda: hand.add(id), MissingParameter, "price"),
        (lambda: hand.add(id, amount=5, price="price_1"), ExclusiveParameters, "not both"),
        (lambda: preview.upcoming(hand.app, Upcoming()), MissingParameter, "customer"),
        (lambda: preview.upcoming(hand.app, Upcoming(customer=customer)), NoSuchObject, "No upcoming invoices"),
        (lambda: hand.create(customer, price=hand.price(currency="eur"), currency="usd"), PriceUnusable, "is in eur"),
    ):
        with pytest.raises(error, match=words):
            wrong()
    assert hand.bench.sql("select count(*) from billing_invoices where invoice_id = 'in_none'") == [(0,)]
    assert len(hand.sandbox.invoices(customer)) == 1
    inactive = hand.price()
    hand.sandbox.post(f"/v1/prices/{inactive}", active="false")
    with pytest.raises(PriceUnusable, match="is inactive"):
        hand.add(id, price=inactive)


def test_a_declined_card_is_told_and_tried_again_on_demand_alone(hand: Hand):
    customer = hand.customer(card="pm_card_chargeCustomerFail")
    id = hand.create(customer, amount=1000).id
    hand.finalize(id)
    with pytest.raises(CardDeclined, match="declined"):
        hand.pay(id)
    hand.same(id)
    with pytest.raises(PaymentFailedBefore, match="A payment of"):
        hand.pay(id)
    assert hand.there(id)["attempt_count"] == 1
    assert [one.id for one in show.list_invoices(hand.app, ListInvoices(status="past_due", customer=customer))] == [id]
    with pytest.raises(CardDeclined):
        hand.pay(id, retry=True)
    told = {(one.code, one.command) for one in troubles.errors(hand.app, ShowErrors())}
    assert told == {("card_declined", f"nself billing invoice pay {id} --retry")}
    card = hand.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"]
    assert hand.pay(id, retry=True, payment_method=card).result == "paid"
    assert hand.charged(customer) == [1000]
    assert troubles.errors(hand.app, ShowErrors()) == []


def test_a_draft_that_is_paid_is_finalised_first(hand: Hand):
    customer = hand.customer()
    id = hand.create(customer, amount=1000).id
    assert hand.pay(id, retry=True).status == "paid"
    assert hand.charged(customer) == [1000]


def test_voided_and_deleted(hand: Hand):
    customer = hand.customer()
    id = hand.create(customer, amount=1000).id
    hand.finalize(id)
    assert finish.void(hand.app, Void(invoice=id, reason="asked for twice")).status == "void"
    assert hand.there(id)["metadata"]["nself_void_reason"] == "asked for twice"
    hand.same(id)
    assert finish.void(hand.app, Void(invoice=id, reason="again")).result == "void already"
    with pytest.raises(NotPayable):
        hand.pay(id)
    draft = hand.create(customer, amount=5).id
    assert finish.void(hand.app, Void(invoice=draft, reason="never mind")).status == "deleted"
    with pytest.raises(NoSuchInvoice):
        hand.pay(draft)
    assert hand.sandbox.get("/v1/invoiceitems", customer=customer, pending="true") == []


def test_credit_notes(hand: Hand):
    customer = hand.customer()
    id = hand.create(customer, amount=3000, description="Work").id
    hand.add(id, amount=2000, description="More")
    edit.add_tax(hand.app, AddTax(invoice=id, tax_rate=hand.rate("10")))
    with pytest.raises(NotCreditable, match="a draft is changed itself"):
        finish.credit(hand.app, Credit(invoice=id, reason="billing_error"))
    hand.finalize(id)
    note = finish.credit(hand.app, Credit(invoice=id, amount=500, reason="billing_error"))
    assert (note.total_minor, note.lowered_minor, note.to_balance_minor) == (500, 500, 0)
    assert hand.there(id)["amount_remaining"] == 5000
    hand.pay(id)
    line = show.show_lines(hand.app, ReadInvoice(invoice=id))[1].id
    note = finish.credit(hand.app, Credit(invoice=id, lines=line, reason="duplicate", refund=True))
    assert (note.total_minor, note.refunded_minor, note.to_balance_minor) == (2200, 2200, 0)
    note = finish.credit(hand.app, Credit(invoice=id, reason="all of it"))
    assert (note.total_minor, note.to_balance_minor) == (2800, 2800)
    assert hand.balance(customer) == -2800
    assert hand.bench.sql("select balance_minor from billing_customers where customer_id = %s", customer) == [(-2800,)]
    with pytest.raises(NotCreditable, match="0 can still be credited"):
        finish.credit(hand.app, Credit(invoice=id, amount=1, reason="more"))
    hand.same(id)


def test_a_credit_with_a_key_comes_once(hand: Hand):
    customer = hand.customer()
    id = hand.create(customer, amount=3000).id
    hand.finalize(id)
    given = Credit(invoice=id, amount=100, reason="billing_error", idempotency_key="ticket 7")
    assert finish.credit(hand.app, given).id == finish.credit(hand.app, given).id
    assert hand.there(id)["amount_remaining"] == 2900


def test_regenerated_once_with_the_same_cents(hand: Hand):
    customer, rate = hand.customer(), hand.rate("7")
    price = hand.price("333")
    id = hand.create(customer, price=price, quantity=3).id
    hand.add(id, amount=-100, description="Rebate")
    edit.add_tax(hand.app, AddTax(invoice=id, tax_rate=rate))
    before = hand.there(id)
    new = renew.regenerate(hand.app, ReadInvoice(invoice=id))
    assert (new.status, new.total_minor) == ("draft", before["total"])
    assert hand.sandbox.get(f"/v1/invoices/{new.id}")["metadata"]["nself_revision_of"] == id
    assert renew.regenerate(hand.app, ReadInvoice(invoice=id)).id == new.id
    hand.finalize(new.id)
    third = renew.regenerate(hand.app, ReadInvoice(invoice=new.id))
    assert hand.there(new.id)["status"] == "void"
    assert hand.there(new.id)["metadata"]["nself_revised_by"] == third.id
    hand.same(new.id, third.id)
    assert {one["id"]: one["status"] for one in hand.sandbox.invoices(customer)} == {new.id: "void", third.id: "draft"}


def test_tax_by_rates_automatic_and_reverse(hand: Hand):
    customer, rate = hand.customer(), hand.rate("19", inclusive=True)
    id = hand.create(customer, amount=9900).id
    assert edit.add_tax(hand.app, AddTax(invoice=id, tax_rate=rate)).total_minor == 9900
    assert edit.add_tax(hand.app, AddTax(invoice=id, tax_rate=rate)).result == f"{rate} stands already"
    shown = show.show(hand.app, ShowInvoice(invoice=id, show_tax=True))
    assert isinstance(shown, InvoiceWithOverage)
    assert isinstance(shown.taxes, list)
    assert [(one.rate, one.percentage, one.behavior, one.amount_minor) for one in shown.taxes] == [
        (rate, "19", "inclusive", 1581)
    ]
    hand.sandbox.post(f"/v1/customers/{customer}", tax_exempt="reverse")
    edit.recalculate(hand.app, ReadInvoice(invoice=id))
    shown = show.show(hand.app, ShowInvoice(invoice=id, show_tax=True))
    assert isinstance(shown, InvoiceWithOverage)
    assert (shown.tax_minor, shown.tax_note) == (0, show.REVERSE)
    hand.sandbox.post(
        f"/v1/customers/{customer}", tax_exempt="none", address={"country": "US", "state": "CA", "postal_code": "94102"}
    )
    auto = Hand(hand.bench, STRIPE_TAX_CALCULATION="automatic")
    done = edit.recalculate(auto.app, ReadInvoice(invoice=id))
    assert (done.total_minor, done.notes) == (9900 + 718, [f"{rate} gave way to automatic tax"])
    assert edit.add_tax(auto.app, AddTax(invoice=id, tax_rate=rate)).notes[0].startswith("automatic tax was on")
    by_rates = Hand(hand.bench, STRIPE_TAX_CALCULATION="rates", STRIPE_TAX_RATES=hand.rate("10"))
    assert by_rates.create(by_rates.customer(), amount=1000).total_minor == 1100


def test_tax_configuration_says_what_is_missing(hand: Hand):
    rate = hand.rate()
    assert tax.show_config(hand.app, Nothing()).missing[0].startswith("no tax is computed")
    assert [one.id for one in tax.list_rates(hand.app, ListRates())] == [rate]
    made = tax.create_rate(hand.app, CreateRate(name="VAT", percentage="19", inclusive=True, country="de"))
    assert (made.name, made.percentage, made.inclusive, made.country) == ("VAT", "19", True, "DE")
    id = hand.create(hand.customer(), amount=1190).id
    assert edit.add_tax(hand.app, AddTax(invoice=id, tax_rate=made.id)).result == "VAT 19 % included"
    assert show.show_lines(hand.app, ReadInvoice(invoice=id))[0].tax_minor == 190
    wrong = Hand(hand.bench, STRIPE_TAX_CALCULATION="rates", STRIPE_TAX_RATES="txr_none")
    found = tax.show_config(wrong.app, Nothing())
    assert (found.calculation, found.default_rates) == ("rates", ["txr_none"])
    assert found.missing == ["txr_none is not known here: nself billing sync all --execute"]
    auto = Hand(hand.bench, STRIPE_TAX_CALCULATION="automatic")
    auto.create(auto.customer(), amount=5)
    assert tax.show_config(auto.app, Nothing()).missing == [
        "2 customers have no address with a country: their invoices stay drafts"
    ]


@pytest.mark.parametrize("amount", [30, 450, 500, 501])
@pytest.mark.parametrize("mode", ["top_up", "carry_forward", "waive"])
def test_the_minimum_charge(hand: Hand, mode: str, amount: int):
    strict = Hand(hand.bench, BILLING_MINIMUM_CHARGE="usd:500", BILLING_MINIMUM_CHARGE_MODE=mode)
    customer = strict.customer()
    id = strict.create(customer, amount=amount).id
    told, below = strict.preview(id), amount < 500
    assert ("minimum charge" in told[0]) == below
    edit.update(strict.app, UpdateInvoice(invoice=id))
    edit.update(strict.app, UpdateInvoice(invoice=id))
    assert strict.there(id)["total"] == (500 if mode == "top_up" and below else amount)
    done = strict.finalize(id)
    paid = below and mode != "top_up"
    assert (done.status, bool(done.notes)) == ("paid" if paid else "open", below)
    owed = amount if below and mode == "carry_forward" else 0
    assert strict.balance(customer) == owed
    if done.status == "open":
        strict.pay(id)
    assert sum(strict.charged(customer)) == (0 if paid else max(amount, 500))
    strict.same(id)
    if owed:  # the next one asks for both
        next_id = strict.create(customer, amount=500).id
        assert strict.finalize(next_id).amount_due_minor == 500 + owed
        assert strict.balance(customer) == 0


def test_the_minimum_is_made_up_for_with_its_tax_and_taken_off_again(hand: Hand):
    strict = Hand(hand.bench, BILLING_MINIMUM_CHARGE="500", BILLING_MINIMUM_CHARGE_MODE="top_up")
    id = strict.create(strict.customer(), amount=100).id
    edit.add_tax(strict.app, AddTax(invoice=id, tax_rate=strict.rate("8.25")))
    done = edit.update(strict.app, UpdateInvoice(invoice=id))
    assert (done.total_minor, done.lines) == (500, 2)
    strict.add(id, amount=1000)
    done = edit.update(strict.app, UpdateInvoice(invoice=id))
    assert (done.total_minor, done.lines) == (1191, 2)


def test_what_asks_for_nothing_or_is_a_credit_is_left_alone(hand: Hand):
    strict = Hand(hand.bench, BILLING_MINIMUM_CHARGE="500", BILLING_MINIMUM_CHARGE_MODE="top_up")
    for amount in (0, -200):
        customer = strict.customer()
        id = strict.create(customer, amount=amount).id
        assert strict.finalize(id).total_minor == amount
        assert strict.balance(customer) == amount


def test_stripes_own_minimum_is_carried_by_stripe_and_said_in_its_words(hand: Hand):
    customer = hand.customer()
    id = hand.create(customer, amount=30).id
    assert hand.preview(id)[0] == "less than Stripe charges: 0.30 USD is owed with the next invoice"
    assert hand.finalize(id).status == "paid"
    assert hand.balance(customer) == 30
    with pytest.raises(BelowMinimum, match=re.escape("Amount must be at least $0.50 usd")) as refused:
        hand.app.stripe.change("payment_intents", params={"amount": 30, "currency": "usd"}, key="k")
    assert "nself env set BILLING_MINIMUM_CHARGE=50" in refused.value.hint


@pytest.mark.parametrize("mode", ["top_up", "carry_forward", "waive"])
def test_generated_invoices_keep_the_minimum_too(hand: Hand, mode: str):
    strict = Hand(hand.bench, BILLING_MINIMUM_CHARGE="usd:500", BILLING_MINIMUM_CHARGE_MODE=mode)
    bench = hand.bench
    bench.create(strict.app, "user")
    bench.use(strict.app, "user", 40, at=AT)  # 20 above 20 at 0.05: 100
    bench.bill(strict.app)
    bench.bill(strict.app)
    (customer,) = bench.sandbox.customers("user@example.com")
    (invoice,) = bench.sandbox.invoices(customer["id"])
    assert invoice["status"] == "paid"
    assert invoice["total"] == (500 if mode == "top_up" else 100)
    assert customer["balance"] == (100 if mode == "carry_forward" else 0)
    assert sum(strict.charged(customer["id"])) == (500 if mode == "top_up" else 0)


def late_draft(hand: Hand) -> str:
    """An invoice for usage that stopped before it was finalised."""
    bench, app = hand.bench, hand.app
    bench.create(app, "user")
    bench.use(app, "user", 40, at=AT)
    hand.sandbox.fault("/v1/invoices/in_.*/finalize", status=503, times=99)
    quick = bench.app(STRIPE_MAX_RETRIES="0")
    before, intents.PATIENCE = intents.PATIENCE, 0
    try:
        with pytest.raises(Exception, match="not finished"):
            bench.bill(quick)
    finally:
        intents.PATIENCE = before
    hand.sandbox.admin("faults/clear")
    ((id,),) = bench.sql("select invoice_id from billing_invoice_plans")
    return str(id)


def test_a_draft_is_brought_up_to_date_with_late_usage_once(hand: Hand):
    id = late_draft(hand)
    hand.bench.use(hand.app, "user", 10, at=AT)
    done = edit.update(hand.app, UpdateInvoice(invoice=id))
    assert (done.total_minor, done.lines, done.result) == (150, 2, "updated: 1 lines of usage")
    again = generate.command(hand.app, GenerateInvoices(invoice=id))
    assert (again.total_minor, getattr(again, "result", "")) == (150, "up to date: nothing was to be changed")
    lines = explain.explain(hand.app, ExplainInvoice(invoice=id)).lines
    assert [(one.amount_minor, one.overage.billed_before_minor) for one in lines if one.overage] == [
        (100, 0),
        (50, 100),
    ]
    hand.bench.pass_time()
    hand.bench.work(hand.app)
    done = hand.bench.bill(hand.app, period=MONTH)
    assert (done.invoices, done.total_minor, done.paid) == (1, 150, 1)
    assert hand.bench.books("user").charged == [150]


def test_what_is_metered_waits_for_usage_on_disk(hand: Hand):
    id = late_draft(hand)
    away = hand.bench.app()
    away.__dict__["db"] = Database("host=127.0.0.1 port=1 dbname=none", wait=0.2)
    event = UsageEvent(user="user", metric="api_calls", value=5, at=AT, key="late")
    record.ingest(away, [event], "test")
    for metered in (
        lambda: hand.bench.bill(hand.app),
        lambda: edit.update(hand.app, UpdateInvoice(invoice=id)),
        lambda: hand.finalize(id),
    ):
        with pytest.raises(UsageIncomplete, match="1 usage events wait to be counted"):
            metered()
    collector.drain(hand.app)
    assert edit.update(hand.app, UpdateInvoice(invoice=id)).total_minor == 125


def test_upcoming_is_what_stripe_makes_next(hand: Hand):
    customer = hand.customer()
    price = hand.price("2000", recurring={"interval": "month"})
    subscription = hand.sandbox.post("/v1/subscriptions", customer=customer, items=[{"price": price}])["id"]
    for given in (Upcoming(customer=customer), Upcoming(subscription=subscription)):
        found = preview.upcoming(hand.app, given)
        assert (found.total_minor, found.amount_due_minor, len(found.lines)) == (2000, 2000, 1)
    hand.sandbox.admin("clock", advance=31 * 86_400)
    (draft, *_) = hand.sandbox.get("/v1/invoices", subscription=subscription)
    assert draft["total"] == 2000
    if draft["status"] == "draft":
        line = draft["lines"]["data"][0]["id"]
        with pytest.raises(LineOfSubscription):
            edit.remove_item(hand.app, RemoveItem(invoice=draft["id"], line_item=line))


def test_sent_by_mail_once_for_each_state(hand: Hand):
    id = hand.create(hand.customer(), amount=1000).id
    with pytest.raises(MailOff):
        send.send(hand.app, Send(invoice=id))
    post = Hand(hand.bench, MAIL_ENABLED="true", MAIL_FROM="billing@example.com")
    assert send.send(post.app, Send(invoice=id)).status == "open"
    send.send(post.app, Send(invoice=id))
    kinds = "select recipient, once from billing_notifications where kind = 'invoice.sent'"
    assert hand.bench.sql(kinds) == [("user@example.com", f"invoice.sent:{id}:open:1000:")]
    hand.pay(id)
    send.send(post.app, Send(invoice=id))
    send.send(post.app, Send(invoice=id, again=True))
    assert len(hand.bench.sql(kinds)) == 3
    nobody = hand.create(hand.customer(email=None), amount=1000).id
    with pytest.raises(NoEmail):
        send.send(post.app, Send(invoice=nobody))


def test_sent_again_to_the_address_that_the_customer_has_now(hand: Hand):
    post, who = Hand(hand.bench, MAIL_ENABLED="true", MAIL_FROM="billing@example.com"), hand.customer()
    id = hand.create(who, amount=1000).id
    send.send(post.app, Send(invoice=id))
    hand.bench.sandbox.client.v1.customers.update(who, {"email": "valid@example.com"})
    assert send.send(post.app, Send(invoice=id)).email == "valid@example.com"
    send.send(post.app, Send(invoice=id))
    told = "select recipient from billing_notifications where kind = 'invoice.sent' order by created_at"
    assert hand.bench.sql(told) == [("user@example.com",), ("valid@example.com",)]


def test_fields_of_a_draft(hand: Hand):
    id = hand.create(hand.customer(), amount=1000).id
    done = edit.update(
        hand.app, UpdateInvoice(invoice=id, description="January", footer="Thanks", due_date="2030-02-14")
    )
    assert done.result == "updated: collection_method, description, due_date, footer"
    there = hand.there(id)
    assert (there["description"], there["footer"], there["collection_method"]) == ("January", "Thanks", "send_invoice")
    assert hand.preview(id)[-1] == "the customer is asked to pay by the due date"
    for wrong in ("14.02.2030", "2001-01-01"):
        with pytest.raises(InvalidParameter, match="due date"):
            edit.update(hand.app, UpdateInvoice(invoice=id, due_date=wrong))
    shown = show.show(hand.app, ShowInvoice(invoice=id, verbose=True))
    assert isinstance(shown, InvoiceWithOverage)
    assert isinstance(shown.changes, list)
    assert any("description" in one.fields for one in shown.changes)
