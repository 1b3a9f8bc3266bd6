"""What Stripe charges by itself stops and goes on."""

from __future__ import annotations

from nself.domains.setting import service as settings
from nself.domains.setting.inputs import SetSettings
from nself.domains.subscription.inputs import PauseCollection, ResumeCollection
from nself.domains.subscription.service import pause
from subscribing import FAILING, Shop


def test_nobody_is_charged_while_collection_is_paused(shop: Shop) -> None:
    app = shop.app()
    customer, other = shop.customer(app, "one"), shop.customer(app, "two")
    running, ended = shop.subscribe(customer), shop.subscribe(customer)
    shop.sandbox.client.raw_request("delete", f"/v1/subscriptions/{ended}")
    failing = shop.subscribe(other)
    shop.use_card(other, FAILING)
    shop.pass_days(32)  # one has paid twice; the other's renewal is open and tried again
    assert shop.newest_invoice(failing)["status"] == "open"
    assert shop.newest_invoice(failing)["auto_advance"]
    paid = len(shop.sandbox.payments(customer))

    done = pause.pause(app, PauseCollection(all=True))
    assert (done.subscriptions, done.already, done.failed) == (2, 0, [])
    assert done.invoices >= 1
    assert "resume-collection --all" in done.note
    shop.use_card(other, "pm_card_visa")
    shop.pass_days(40)
    assert shop.newest_invoice(running)["status"] == "draft"
    assert len(shop.sandbox.payments(customer)) == paid
    assert [one["amount_received"] for one in shop.sandbox.payments(other)] == [2000]
    again = pause.pause(app, PauseCollection(all=True))
    assert (again.subscriptions, again.already) == (0, 2)

    back = pause.resume(app, ResumeCollection(all=True))
    assert (back.subscriptions, back.failed) == (2, [])
    assert back.drafts >= 2
    shop.pass_days(2)
    assert shop.newest_invoice(running)["status"] == "draft"
    assert len(shop.sandbox.payments(other)) == 2  # the open invoice that was stopped is collected
    everything = pause.resume(app, ResumeCollection(all=True, drafts=True))
    assert (everything.subscriptions, everything.drafts) == (0, 0)
    shop.pass_days(2)
    assert shop.newest_invoice(running)["status"] == "paid"
    assert [one["status"] for one in shop.sandbox.invoices(other)] == ["paid"] * len(shop.sandbox.invoices(other))


def test_switching_automatic_payment_off_says_what_stripe_goes_on_doing(shop: Shop) -> None:
    (written,) = settings.set_values(shop.app(), SetSettings(assignments=["BILLING_AUTO_PAYMENT=false"]))
    assert "nself billing subscription pause-collection --all" in written.note
