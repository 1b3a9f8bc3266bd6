"""A customer is told by hand what failed, once; whose card expires is told once a card and expiry."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from nself.app import App
from nself.domains.customer.model import NoSuchCustomer
from nself.domains.mirror import service as mirror
from nself.domains.notice import rules
from nself.domains.notice.inputs import NotifyCustomer
from nself.domains.notice.model import MailDisabled, NoAddress, NoInvoiceToTell, Notified
from nself.domains.notice.service import cards
from nself.domains.notice.service import one as by_hand
from nself.domains.notification.model import NoSuchTemplate
from subscribing import FAILING, Shop
from telling import Mailbox, Receiver, send_all, words


def notify(app: App, customer: str, template: str = "payment_failed") -> Notified:
    return by_hand.notify(app, NotifyCustomer(customer=customer, template=template))


def failing(shop: Shop, app: App) -> tuple[str, dict[str, object]]:
    """A customer whose renewal failed, which is mirrored but not told yet."""
    customer = shop.customer(app, "user")
    subscription = shop.subscribe(customer)
    shop.hear(app)
    shop.use_card(customer, FAILING)
    shop.pass_days(31.5)
    return customer, shop.newest_invoice(subscription)


def test_the_newest_failing_invoice_is_told_once_by_hand_or_by_itself(shop: Shop, mailbox: Mailbox) -> None:
    app = shop.app()
    customer, invoice = failing(shop, app)
    mirror.refresh(app, "invoice", str(invoice["id"]), "sync 1")  # tells by itself
    done = notify(app, customer)
    assert done.sent_before and done.invoice == invoice["id"] and "resend" in done.note
    send_all(app)
    (mail,) = mailbox.mails
    assert f"for invoice {invoice['number']}" in words(mail) and mail["To"] == "user@example.com"
    assert notify(app, customer).state == "sent"


def test_by_hand_it_is_told_once_by_however_many(shop: Shop, mailbox: Mailbox) -> None:
    quiet = shop.app(MAIL_ENABLED="false")
    customer, invoice = failing(shop, quiet)
    shop.hear(quiet)
    with pytest.raises(MailDisabled):
        notify(quiet, customer)
    apps, start = [shop.app() for _ in range(4)], threading.Barrier(4)

    def one(app: App) -> Notified:
        start.wait()
        return notify(app, customer)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(one, apps))
    assert len({each.message for each in done}) == 1 and sorted(each.sent_before for each in done) == [
        False,
        *[True] * 3,
    ]
    send_all(apps[0])
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Your payment of 20.00 USD failed" and invoice["number"] in words(mail)
    assert shop.told("webhook", "payment_failed") == ["payment_failed"]  # by hand no program is told


def test_another_address_is_not_the_same(shop: Shop, mailbox: Mailbox) -> None:
    app = shop.app()
    customer, _ = failing(shop, app)
    shop.hear(app)
    assert notify(app, customer).sent_before
    shop.sandbox.post(f"/v1/customers/{customer}", email="new@example.com")
    mirror.refresh(app, "customer", customer, "sync 1")
    first, again = notify(app, customer), notify(app, customer)
    assert (first.sent_before, first.recipient) == (False, "new@example.com")
    assert again.sent_before and again.message == first.message
    send_all(app)
    assert [mail["To"] for mail in mailbox.mails] == ["user@example.com", "new@example.com"]


def test_what_cannot_be_told_is_refused_with_what_helps(shop: Shop, mailbox: Mailbox) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    with pytest.raises(NoSuchTemplate, match=r"There are: payment_failed, invoice, receipt"):
        notify(app, customer, "love_letter")
    with pytest.raises(NoSuchCustomer):
        notify(app, "cus_none")
    with pytest.raises(NoInvoiceToTell):
        notify(app, customer, "receipt")
    stranger = shop.sandbox.post("/v1/customers", name="Nobody")["id"]
    mirror.refresh(app, "customer", stranger, "sync 1")
    with pytest.raises(NoAddress) as refused:
        notify(app, stranger)
    assert refused.value.hint == (f"nself billing customer update {stranger} --email user@example.com",)
    assert "names none" in notify(app, customer).note  # a payment may fail without an invoice
    assert notify(app, customer).sent_before
    assert not notify(app, customer, "payment_processing_delayed").sent_before
    send_all(app)
    assert sorted(mail["Subject"] for mail in mailbox.mails) == ["Your payment failed", "Your payment is delayed"]


def test_a_receipt_is_for_what_was_paid(shop: Shop, mailbox: Mailbox) -> None:
    app = shop.app()
    customer = shop.customer(app, "user")
    subscription = shop.subscribe(customer)
    shop.hear(app)
    assert notify(app, customer, "receipt").invoice == shop.newest_invoice(subscription)["id"]
    send_all(app)
    assert mailbox.mails[0]["Subject"] == "Receipt for 20.00 USD"


def test_a_card_that_expires_is_told_once_a_card_and_expiry(shop: Shop, mailbox: Mailbox, receiver: Receiver) -> None:
    at = [datetime(2026, 2, 10, tzinfo=UTC)]
    app = shop.app(clock=lambda: at[0])
    customer = shop.customer(app, "user")
    shop.subscribe(customer)
    unused = shop.sandbox.post("/v1/payment_methods/pm_card_mastercard/attach", customer=customer)["id"]
    idle = shop.customer(app, "idle")
    methods = {who: shop.sandbox.get(f"/v1/payment_methods?customer={who}&limit=10") for who in (customer, idle)}
    card = next(one for one in methods[customer] if one["id"] != unused)
    month, year = card["card"]["exp_month"], card["card"]["exp_year"]
    shop.look(app)
    for one in (*methods[customer], *methods[idle]):
        mirror.refresh(app, "payment_method", one["id"], "sync 1")
    before = datetime(year - (month < 3), (month - 3) % 12 + 1, 28, tzinfo=UTC)  # two months ahead
    for now, count in (
        (before, 0),
        (datetime(year, month, 1, tzinfo=UTC), 1),
        (datetime(year, month, 28, tzinfo=UTC), 1),
    ):
        at[0] = now
        with ThreadPoolExecutor(2) as pool:
            assert set(pool.map(cards.tell_cards, (app, app))) == {f"{count} cards expire this month or the next"}
        assert shop.told("mail", "payment_method.expiring") == ["payment_method.expiring"] * count
    at[0] = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    assert cards.tell_cards(app) == "0 cards expire this month or the next"
    send_all(app)
    (mail,) = [one for one in mailbox.mails if "expires soon" in one["Subject"]]
    assert mail["Subject"] == f"Your card ending in {card['card']['last4']} expires soon"
    assert f"expires at the end of {month:02}/{year}" in words(mail)
    told = [json.loads(body) for body, _ in receiver.taken]
    (one,) = [each["data"]["object"] for each in told if each["type"] == "payment_method.expiring"]
    assert (one["id"], one["user"], one["exp_year"]) == (card["id"], "user", year)


@pytest.mark.parametrize(
    ("today", "found"),
    [
        ("2026-01-31", ((2026, 1), (2026, 2))),
        ("2026-11-30", ((2026, 11), (2026, 12))),
        ("2026-12-01", ((2026, 12), (2027, 1))),
    ],
)
def test_this_month_and_the_next(today: str, found: tuple[tuple[int, int], tuple[int, int]]) -> None:
    assert rules.expiring(datetime.fromisoformat(today)) == found
