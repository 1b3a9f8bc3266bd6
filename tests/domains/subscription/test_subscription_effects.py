"""What becomes of subscriptions, invoices, charges and disputes is told once, on whatever ways it is heard of."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.clock import system_clock
from nself.core.entrypoint import Scheduled
from nself.db.connect import Tx
from nself.domains.mirror import service as mirror
from nself.domains.subscription.service import tell as subscriptions
from subscribing import CARD, FAILING, Shop
from telling import Mailbox, Receiver, send_all, words

Hear = Callable[[Shop, App], None]


def test_dunning_to_the_end_is_told_step_by_step(shop: Shop, mailbox: Mailbox, receiver: Receiver) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    subscription = shop.subscribe(customer)
    shop.hear(app)
    assert shop.told() == ["invoice.paid", "subscription.active"]
    shop.use_card(customer, FAILING)
    shop.pass_days(31.5)
    shop.hear(app)
    failed = shop.newest_invoice(subscription)
    assert (failed["attempt_count"], shop.get(subscription)["status"]) == (1, "past_due")
    assert shop.told() == ["invoice.paid", "payment_failed", "subscription.active", "subscription.past_due"]
    for days in (4, 6, 8):
        shop.pass_days(days)
        shop.hear(app)
    assert shop.told("webhook", "payment_failed") == ["payment_failed"] * 4
    shop.pass_days(8)
    shop.hear(app)
    assert shop.get(subscription)["status"] == "canceled"
    assert shop.told("webhook", "payment_failed", "subscription.canceled") == ["payment_failed"] * 5 + [
        "subscription.canceled"
    ]
    assert shop.told("mail") == ["payment_failed"] * 5 + ["subscription.canceled"]
    send_all(app)
    assert {mail["To"] for mail in mailbox.mails} == {"user@example.com"}
    first = next(mail for mail in mailbox.mails if "failed" in mail["Subject"])
    assert first["Subject"] == "Your payment of 20.00 USD failed"
    assert f"for invoice {failed['number']}" in words(first) and "We try again on 20" in words(first)
    (end,) = [mail for mail in mailbox.mails if mail["Subject"] == "Your subscription has ended"]
    assert f"{subscription} has ended, because its last invoice could not be paid" in words(end)
    told = [json.loads(body) for body, _ in receiver.taken]
    (canceled,) = [one["data"]["object"] for one in told if one["type"] == "subscription.canceled"]
    assert canceled | {
        "object": "subscription", "id": subscription, "customer": customer, "user": "user", "status": "canceled",
        "previous_status": "past_due",
    } == canceled  # fmt: skip
    (paid,) = [one["data"]["object"] for one in told if one["type"] == "invoice.paid"]
    assert (paid["subscription"], paid["amount_paid"], paid["currency"]) == (subscription, 2000, "usd")


def by_webhook(shop: Shop, app: App) -> None:
    shop.hear(app)


def by_synchronisation(shop: Shop, app: App) -> None:
    shop.look(app)


def by_both(shop: Shop, app: App) -> None:
    shop.hear(app)
    shop.look(app)
    shop.hear(app, shop.copy(shop.events()))


def five_times(shop: Shop, app: App) -> None:
    shop.hear(app)
    for _ in range(5):
        shop.hear(app, shop.copy(shop.events()))


def backwards(shop: Shop, app: App) -> None:
    for event in shop.events()[::-1]:
        shop.hear(app, [event])


def by_two_workers(shop: Shop, app: App) -> None:
    """And two synchronisations beside them."""
    other, start = shop.app(), threading.Barrier(4)
    shop.deliver(app, shop.copy(shop.events()))

    def run(deed: Callable[[], object]) -> None:
        start.wait()
        deed()

    deeds = [
        lambda: shop.bench.work(app),
        lambda: shop.bench.work(other),
        lambda: shop.look(app),
        lambda: shop.look(other),
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, deeds))
    other.close()


@pytest.mark.parametrize("hear", [by_webhook, by_synchronisation, by_both, five_times, backwards, by_two_workers])
def test_a_default_that_is_recovered_is_told_the_same_on_every_way(shop: Shop, hear: Hear) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    subscription = shop.subscribe(customer)
    first = shop.newest_invoice(subscription)["id"]
    hear(shop, app)
    shop.use_card(customer, FAILING)
    shop.pass_days(31.5)
    hear(shop, app)
    second = shop.newest_invoice(subscription)["id"]
    shop.use_card(customer, CARD)
    shop.pass_days(4)
    hear(shop, app)
    shop.sandbox.post(f"/v1/subscriptions/{subscription}", cancel_at_period_end="true")
    hear(shop, app)
    charge = shop.sandbox.get("/v1/charges", customer=customer)[0]["id"]
    for amount in (500, 700):
        shop.sandbox.post("/v1/refunds", charge=charge, amount=amount)
        hear(shop, app)
    shop.pass_days(31)
    hear(shop, app)
    assert shop.told_once() == sorted(
        [
            (f"{charge} refunded 1200", "webhook"),
            (f"{charge} refunded 500", "webhook"),
            (f"{first} paid", "webhook"),
            (f"{second} paid", "webhook"),
            (f"{second} payment_failed 1", "mail"),
            (f"{second} payment_failed 1", "webhook"),
            (f"{subscription} active {first}", "webhook"),
            (f"{subscription} active {second}", "webhook"),
            (f"{subscription} canceled", "mail"),
            (f"{subscription} canceled", "webhook"),
            (f"{subscription} past_due {second}", "webhook"),
        ]
    )


def test_a_crash_at_any_seam_tells_neither_twice_nor_never(shop: Shop) -> None:
    heir, price, at, crashed = shop.app(), shop.price(), 0, True
    while crashed:
        at += 1
        subscription = shop.subscribe(shop.customer(heir, f"user{at}"), price)
        shop.look(heir)
        shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{subscription}")
        canceled = [one for one in shop.events() if one["data"]["object"]["id"] == subscription][-1]
        shop.deliver(heir, [canceled])
        app = fragile(shop.bench, Seams(at), **shop.settings)
        try:
            shop.bench.work(app)
            crashed = False
        except Crash:
            shop.bench.pass_time()
            shop.bench.work(heir)
        app.close()
        told = [one for one in shop.told_once() if one[0].startswith(f"{subscription} canceled")]
        assert told == [(f"{subscription} canceled", "mail"), (f"{subscription} canceled", "webhook")], f"seam {at}"
    assert at > 8


def test_a_worker_that_is_killed_before_its_commit_has_told_nothing(shop: Shop) -> None:
    app = shop.app()
    subscription = shop.subscribe(shop.customer(app, "user"))
    picture = mirror.fetch(app, "subscription", subscription, "webhook evt_1")

    def killed(tx: Tx) -> None:
        mirror.accept(app, tx, picture)
        raise Crash

    with pytest.raises(Crash):
        app.db.transact(killed)
    assert shop.told_once() == []
    shop.look(app)
    assert shop.told("webhook", "subscription.active") == ["subscription.active"]


# What is history, and what is not


def test_the_first_import_tells_no_history_and_what_comes_then_is_told(shop: Shop) -> None:
    app = shop.app(clock=lambda: system_clock() + timedelta(hours=2))
    for card in (CARD, FAILING):
        customer = shop.sandbox.post(
            "/v1/customers", email="user@example.com", payment_method=card, invoice_settings={"default_payment_method": card}
        )["id"]  # fmt: skip
        subscription = shop.subscribe(customer)
    gone = shop.subscribe(shop.sandbox.get("/v1/customers")[1]["id"])
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{gone}")
    shop.look(app, "import")
    assert shop.told_once() == []
    assert len(shop.bench.sql("select 1 from billing_subscriptions")) == 3
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{subscription}")
    shop.look(app, "sync 1")
    assert shop.told_once() == [(f"{subscription} canceled", "webhook")]  # the customer is nobody's: no mail


@pytest.mark.parametrize("deed", ["delete", "rewrite"])
def test_a_row_that_somebody_deleted_or_rewrote_is_healed_without_a_word(shop: Shop, deed: str) -> None:
    app = shop.app()
    subscription = shop.subscribe(shop.customer(app, "user"))
    shop.look(app)
    shop.pass_days(31.5)  # renewed: another invoice
    shop.look(app)
    before = shop.told_once()
    for table in ("subscriptions", "charges"):
        if deed == "delete":
            shop.bench.sql(f"delete from billing_{table}")
        else:
            shop.bench.sql(f'update billing_{table} set snapshot = snapshot || \'{{"status": "past_due"}}\'')
    shop.look(app, "sync 2")
    assert shop.told_once() == before
    shop.bench.sql("delete from billing_subscriptions")
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{subscription}")
    shop.look(app, "sync 3")  # what is final is told all the same
    assert [once for once, channel in shop.told_once() if channel == "mail"] == [f"{subscription} canceled"]


def test_a_subscription_that_is_gone_at_stripe_is_told_as_canceled(shop: Shop) -> None:
    app = shop.app()
    subscription = shop.subscribe(shop.customer(app, "user"))
    shop.look(app)
    shop.sandbox.edit("subscription", subscription, delete=True)
    mirror.refresh(app, "subscription", subscription, "sync 1")
    mirror.refresh(app, "subscription", subscription, "sync 2")
    assert shop.told("mail") == ["subscription.canceled"]


# Refunds, disputes, and who is told


def test_a_dispute_is_told_to_programs_alone(shop: Shop, mailbox: Mailbox, receiver: Receiver) -> None:
    app = shop.app()
    customer = shop.customer(app, "user", "pm_card_createDispute")
    shop.subscribe(customer)
    for _ in range(2):
        shop.look(app)
        shop.hear(app, shop.copy(shop.events()))
    dispute = shop.sandbox.get("/v1/disputes")[0]
    shop.sandbox.post(f"/v1/disputes/{dispute['id']}/close")
    shop.look(app)
    send_all(app)
    assert mailbox.mails == []
    (told,) = [json.loads(body)["data"]["object"] for body, _ in receiver.taken if b"dispute.created" in body]
    assert (told["id"], told["charge"], told["user"]) == (dispute["id"], dispute["charge"], "user")


def test_where_nobody_listens_nothing_is_kept(shop: Shop) -> None:
    app = shop.app(MAIL_ENABLED="false", NOTIFY_WEBHOOK_URL="")
    subscription = shop.subscribe(shop.customer(app, "user"))
    shop.look(app)
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{subscription}")
    shop.look(app)
    assert shop.told_once() == []


# Trials


def test_a_trial_that_ends_is_told_once_for_each_end(shop: Shop, mailbox: Mailbox) -> None:
    moved = [timedelta()]
    app = shop.app(clock=lambda: system_clock() + moved[0])
    customer = shop.customer(app, "user")
    subscription = shop.subscribe(customer, trial_period_days=14)
    shop.look(app)
    tell = service(app)
    for days, mails in ((0, 0), (10.9, 0), (11.1, 1), (12, 1), (13.9, 1)):
        moved[0] = timedelta(days=days)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: tell(app), range(2)))
        assert len(shop.told("mail")) == len(shop.told("webhook", "subscription.trial_will_end")) == mails
    later = shop.get(subscription)["trial_end"] + 7 * 86_400
    shop.sandbox.post(f"/v1/subscriptions/{subscription}", trial_end=later)
    shop.look(app)
    assert tell(app) == "0 trials end within 3 days"
    moved[0] = timedelta(days=19)
    assert tell(app) == "1 trials end within 3 days"
    send_all(app)
    assert len(mailbox.mails) == 2
    said = words(mailbox.mails[1])
    assert f"The trial of your subscription {subscription} ends on" in said and "charged to your payment method" in said
    moved[0] = timedelta(days=22)
    assert tell(app) == "0 trials end within 3 days"


def test_many_trials_are_told_page_by_page(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "PAGE", 2)
    app = shop.app()
    customer, price = shop.customer(app, "user"), shop.price()
    made = {shop.subscribe(customer, price, trial_period_days=2) for _ in range(5)}
    shop.look(app)
    assert subscriptions.tell_trials(app) == "5 trials end within 3 days"
    assert {once.split()[0] for once, channel in shop.told_once() if channel == "mail"} == made


def service(app: App) -> Callable[[App], str]:
    """As the scheduler finds it."""
    row = next(row for row in app.registry.rows(Scheduled) if row.type == "trial_notices")
    return app.registry.resolve(row.use)  # type: ignore[return-value]
