"""Subscriptions are changed, canceled, kept and completed once, as previewed, and say what they cannot."""

from __future__ import annotations

import itertools
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from money_bench import served
from money_seams import Crash, Seams, fragile

from nself import log
from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.domains.access import service as access
from nself.domains.access.inputs import ShowAccess
from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey
from nself.domains.quota.service.ask import states
from nself.domains.subscription.errors import (
    BadTrialEnd,
    Canceled,
    CompNeedsReason,
    DateOutsidePeriod,
    NoSuchPreview,
    NoSuchSubscription,
    NothingToChange,
    NothingToCharge,
    OtherChange,
    PaymentFailed,
    PreviewExpired,
    PreviewOutdated,
    RequiresAction,
    Unpaid,
    WhichItem,
)
from nself.domains.subscription.inputs import (
    CancelSubscription,
    CompleteSubscription,
    PreviewChange,
    ReactivateSubscription,
    Recalculate,
    ShowConfig,
    ShowProrations,
    ShowSubscription,
    SimulateChange,
    UpdateSubscription,
)
from nself.domains.subscription.model import Done, Preview
from nself.domains.subscription.service import cancel as canceling
from nself.domains.subscription.service import config, prorate, show, simulate
from nself.domains.subscription.service import update as updating
from nself.gateway.errors import NoSuchPrice
from subscribing import DAY, Shop, crash_at_calls_and_commits


def update(app: App, id: str, **given: Any) -> Done:
    return updating.update(app, UpdateSubscription(subscription=id, **given))


def cancel(app: App, id: str, **given: Any) -> Done:
    return canceling.cancel(app, CancelSubscription(subscription=id, **given))


def reactivate(app: App, id: str) -> Done:
    return canceling.reactivate(app, ReactivateSubscription(subscription=id))


def complete(app: App, id: str, **given: Any) -> Done:
    return access.complete(app, CompleteSubscription(subscription=id, **given))


def preview(app: App, id: str, price: str, **given: Any) -> Preview:
    return simulate.preview(app, PreviewChange(subscription=id, new_price=price, **given))


def subscribed(shop: Shop, app: App, *prices: str, user: str = "user", **more: Any) -> str:
    id = shop.subscribe(shop.customer(app, user), *(prices or (shop.price(1000),)), **more)
    shop.look(app)
    return id


def pending(shop: Shop, id: str) -> list[int]:
    """Amounts of the items that wait, oldest first."""
    customer = shop.get(id)["customer"]
    return [one["amount"] for one in shop.sandbox.get("/v1/invoiceitems", customer=customer, pending="true")][::-1]


def half(shop: Shop, id: str) -> int:
    item = shop.get(id)["items"]["data"][0]
    return (item["current_period_start"] + item["current_period_end"]) // 2


# Changing


@pytest.mark.parametrize(
    ("behavior", "waits", "paid"),
    [("create_prorations", [-500, 1000], [1000]), ("always_invoice", [], [500, 1000]), ("none", [], [1000])],
)
def test_the_setting_decides_what_a_change_costs(shop: Shop, behavior: str, waits: list[int], paid: list[int]) -> None:
    app = shop.app(STRIPE_PRORATION_BEHAVIOR=behavior)
    id = subscribed(shop, app)
    done = update(app, id, price=shop.price(2000), proration_date=half(shop, id))
    assert (done.changed, done.items[0].amount_minor, done.proration_behavior) == (True, 2000, behavior)
    assert (done.proration_date is None) == (behavior == "none")
    assert pending(shop, id) == waits
    assert [one["amount_received"] for one in shop.sandbox.payments(shop.get(id)["customer"])] == paid


def test_what_is_so_already_is_not_done_again_but_there_and_back_is(shop: Shop) -> None:
    app, low, high = shop.app(), shop.price(1000), shop.price(2000)
    id, at = subscribed(shop, app, low), None
    at = half(shop, id)
    for price, waits in ((high, 2), (high, 2), (low, 4), (high, 6)):
        before = len(pending(shop, id))
        done = update(app, id, price=price, proration_date=at)
        assert len(pending(shop, id)) == waits and done.changed == (waits > before)


def test_quantity_payment_method_and_trial_end(shop: Shop) -> None:
    app = shop.app(BILLING_TIMEZONE="Asia/Tokyo")
    id = subscribed(shop, app, trial_period_days=5)
    customer = shop.get(id)["customer"]
    method = shop.sandbox.post("/v1/payment_methods/pm_card_mastercard/attach", customer=customer)["id"]
    day = (datetime.now(UTC) + timedelta(days=12)).date()
    done = update(app, id, quantity=4, payment_method=method, trial_end=day.isoformat())
    assert (done.items[0].quantity, shop.get(id)["default_payment_method"]) == (4, method)
    assert done.trial_end and done.trial_end.astimezone(app.timezone).isoformat()[:19] == f"{day}T00:00:00"
    assert show.show(app, ShowSubscription(subscription=id)).trial_end == done.trial_end
    with pytest.raises(BadTrialEnd):
        update(app, id, trial_end="2020-01-01")
    assert update(app, id, trial_end="now").status == "active"


def test_changes_that_cannot_be(shop: Shop) -> None:
    app = shop.app()
    id = subscribed(shop, app, shop.price(1000), shop.price(3000))
    with pytest.raises(WhichItem, match="has 2 items") as which:
        update(app, id, quantity=2)
    items = [one["id"] for one in shop.get(id)["items"]["data"]]
    assert all(one in which.value.message for one in items)
    assert update(app, id, quantity=2, item=items[1]).items[1].quantity == 2
    with pytest.raises(NothingToChange):
        update(app, id)
    with pytest.raises(NoSuchPrice, match="No such price: price_none"):
        update(app, id, item=items[0], price="price_none")
    with pytest.raises(NoSuchSubscription, match="No such subscription: sub_none"):
        update(app, "sub_none", quantity=2)
    with pytest.raises(DateOutsidePeriod, match="not within the current period") as outside:
        update(app, id, item=items[0], quantity=7, proration_date=half(shop, id) + 40 * DAY)
    assert "preview-change" in outside.value.hint[0]
    cancel(app, id, immediate=True)
    with pytest.raises(Canceled, match="never revives") as gone:
        update(app, id, quantity=3)
    assert gone.value.hint[0].startswith("nself billing subscription create --customer cus_")
    assert shop.bench.sql("select count(*) from billing_object_changes where object_id = 'sub_none'") == [(0,)]


def test_an_upgrade_whose_invoice_is_not_paid_is_told(shop: Shop) -> None:
    app = shop.app(STRIPE_PRORATION_BEHAVIOR="always_invoice")
    id = subscribed(shop, app)
    shop.use_card(shop.get(id)["customer"], "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentFailed, match=r"The change is made, its invoice is not paid: .*declined.* is past_due"):
        update(app, id, price=shop.price(9000), proration_date=half(shop, id))


# Previews


def test_a_preview_is_applied_as_it_was_shown(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    id = subscribed(shop, app)
    shown = preview(app, id, price, proration_date=half(shop, id))
    assert (shown.change_minor, shown.stripe_change_minor, shown.difference_minor, shown.reason) == (500, 500, 0, "")
    assert shown.invoice_total_minor == 2500
    assert [(one.kind, one.ours_minor, one.stripe_minor) for one in shown.lines] == [
        ("unused", -500, -500), ("remaining", 1000, 1000), ("next period", 2000, 2000),
    ]  # fmt: skip
    assert pending(shop, id) == []
    done = update(app, id, token=shown.token)
    assert (done.proration_date, pending(shop, id)) == (shown.proration_date, [-500, 1000])
    assert not update(app, id, token=shown.token).changed
    assert pending(shop, id) == [-500, 1000]


def test_the_same_change_without_a_token_takes_the_last_previews_date(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    id = subscribed(shop, app)
    preview(app, id, shop.price(5000), proration_date=half(shop, id) - DAY)
    shown = preview(app, id, price, proration_date=half(shop, id))
    done = update(app, id, price=price)
    assert (done.proration_date, done.note) == (shown.proration_date, f"as of the preview {shown.token}")
    assert pending(shop, id) == [-500, 1000]


def test_a_date_of_ones_own_comes_before_the_previews(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    id = subscribed(shop, app)
    preview(app, id, price, proration_date=half(shop, id))
    start = shop.get(id)["items"]["data"][0]["current_period_start"]
    done = update(app, id, price=price, proration_date=start)
    assert "amounts may differ" in done.note and pending(shop, id) == [-1000, 2000]


def test_previews_that_cannot_be_applied(shop: Shop) -> None:
    now = [datetime.now(UTC)]
    app, price = shop.app(lambda: now[0]), shop.price(2000)
    id, other = subscribed(shop, app), subscribed(shop, app, user="other")
    shown = preview(app, id, price, proration_date=half(shop, id))
    for subscription, token in ((id, "pvt_none"), (other, shown.token)):
        with pytest.raises(NoSuchPreview) as missing:
            update(app, subscription, token=token)
        assert f"preview-change --subscription {subscription}" in missing.value.hint[0]
    with pytest.raises(OtherChange, match=price):
        update(app, id, token=shown.token, quantity=9)
    now[0] += timedelta(minutes=16)
    with pytest.raises(PreviewExpired, match="older than BILLING_PREVIEW_LIFETIME"):
        update(app, id, token=shown.token)
    fresh = preview(app, id, price, proration_date=half(shop, id))
    item = shop.get(id)["items"]["data"][0]["id"]
    shop.sandbox.post(f"/v1/subscriptions/{id}", items=[{"id": item, "quantity": 3}])
    with pytest.raises(PreviewOutdated, match=item) as outdated:
        update(app, id, token=fresh.token)
    assert outdated.value.code == "preview_outdated"
    assert shop.get(id)["items"]["data"][0]["price"]["id"] != price
    with pytest.raises(DateOutsidePeriod):
        preview(app, id, price, proration_date=half(shop, id) - 40 * DAY)


def test_what_stripe_has_on_the_invoice_beside_the_change_is_told(shop: Shop) -> None:
    app = shop.app()
    id = subscribed(shop, app)
    shop.sandbox.post("/v1/invoiceitems", customer=shop.get(id)["customer"], amount=77, currency="usd")
    shown = preview(app, id, shop.price(2000), proration_date=half(shop, id))
    (other,) = [one for one in shown.lines if one.ours_minor is None]
    assert (other.stripe_minor, other.reason) == (77, "an item that waits for this invoice")
    assert (shown.difference_minor, shown.invoice_total_minor) == (0, 2577)


def test_a_difference_is_told_with_its_reason(shop: Shop) -> None:
    """The first invoice's line is changed by hand at Stripe after the money was debited."""
    app = shop.app()
    id = subscribed(shop, app)
    invoice = shop.newest_invoice(id)
    shop.sandbox.edit("line_item", invoice["lines"]["data"][0]["id"], amount=1400)
    shown = preview(app, id, shop.price(2000), proration_date=half(shop, id))
    assert shown.difference_minor == -200
    assert shown.reason == "Stripe counts with other discounts, debits or an amount that was changed by hand"
    assert simulate.simulate(
        app, SimulateChange(subscription=id, new_price=shop.price(2000), at=str(half(shop, id)))
    ).note == ""  # fmt: skip


def test_prorations_are_shown_with_their_arithmetic_and_put_right(shop: Shop) -> None:
    app = shop.app()
    id = subscribed(shop, app)
    update(app, id, price=shop.price(2000), proration_date=half(shop, id))
    rows = prorate.prorations(app, ShowProrations(subscription=id))
    assert [(one.amount_minor, one.expected_minor) for one in rows] == [(-500, -500), (1000, 1000)]
    assert re.search(r"^-1000 x \d+ s of \d+ s = -500; debited by in_", rows[0].arithmetic)
    right = prorate.recalculate(app, Recalculate(subscription=id, execute=True))
    assert (right.pending, right.difference_minor, right.executed) == (2, 0, False)
    wrong = next(one for one in shop.sandbox.get("/v1/invoiceitems", pending="true") if one["amount"] == 1000)["id"]
    shop.sandbox.edit("invoiceitem", wrong, amount=1300)
    told = prorate.recalculate(app, Recalculate(subscription=id))
    assert (told.difference_minor, told.executed, pending(shop, id)) == (-300, False, [-500, 1300])
    assert "--execute" in told.note
    for _ in range(2):
        prorate.recalculate(app, Recalculate(subscription=id, execute=True))
        assert sorted(pending(shop, id)) == [-500, -300, 1300]


# Canceling


def test_modes_of_cancellation(shop: Shop) -> None:
    app, at_once = shop.app(), shop.app(BILLING_CANCELLATION_MODE="immediate")
    id = subscribed(shop, app)
    done = cancel(app, id, reason="switching-providers")
    assert (done.status, done.cancel_at is not None) == ("active", True)
    assert shop.get(id)["cancellation_details"]["feedback"] == "switched_service"
    assert not cancel(app, id).changed
    assert (reactivate(app, id).cancel_at, shop.get(id)["cancel_at_period_end"]) == (None, False)
    assert not reactivate(app, id).changed
    assert cancel(app, id).changed  # there, back, and there again
    assert cancel(at_once, id, at_period_end=True).status == "active"
    done = cancel(at_once, id)
    assert (done.status, done.changed, shop.get(id)["status"]) == ("canceled", True, "canceled")
    assert show.show(app, ShowSubscription(subscription=id)).cancel == "done"
    assert not show.show(app, ShowSubscription(subscription=id)).deleted
    assert not cancel(app, id, immediate=True).changed
    with pytest.raises(Canceled) as gone:
        reactivate(app, id)
    assert shop.get(id)["items"]["data"][0]["price"]["id"] in gone.value.hint[0]
    with pytest.raises(ExclusiveParameters):
        cancel(app, id, immediate=True, at_period_end=True)


def test_one_that_was_to_end_at_a_time_is_kept(shop: Shop) -> None:
    app = shop.app()
    id = subscribed(shop, app, cancel_at=str(int(time.time()) + 90 * DAY))
    assert reactivate(app, id).changed and shop.get(id)["cancel_at"] is None


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": True}, {"drop": True, "times": 3}])
def test_a_lost_answer_to_a_cancellation_leaves_it_canceled_and_not_deleted(shop: Shop, fault: dict[str, Any]) -> None:
    app = shop.app(STRIPE_MAX_RETRIES="1")
    id = subscribed(shop, app)
    shop.sandbox.fault(f"/v1/subscriptions/{id}", method="DELETE", **{"after": True, **fault})
    done = cancel(app, id, immediate=True)
    shown = show.show(app, ShowSubscription(subscription=id))
    assert (done.status, shown.status, shown.deleted) == ("canceled", "canceled", False)


def test_a_crash_at_any_seam_of_a_change_or_cancellation_does_it_once(shop: Shop) -> None:
    old, new, ended, at = shop.price(1000), shop.price(2000), 0, 0
    while ended < 2:
        at += 1
        ended = 0
        id = subscribed(shop, shop.app(), old, user=f"user{at}")
        date = half(shop, id)
        for deed in (
            lambda app, sub=id, date=date: update(app, sub, price=new, proration_date=date),
            lambda app, sub=id: cancel(app, sub, immediate=True),
        ):
            app = fragile(shop.bench, Seams(at), **shop.settings)
            try:
                deed(app)
                ended += 1
            except Crash:
                shop.bench.pass_time(600)
                deed(shop.app())
            finally:
                app.close()
            shop.bench.work(shop.app())
        assert pending(shop, id) == [-500, 1000], at
        assert shop.get(id)["status"] == "canceled", at
        assert show.show(shop.app(), ShowSubscription(subscription=id)).status == "canceled", at
        assert [one for one in shop.bench.intents() if one[1] == "pending"] == []
    assert at > 10


def test_two_operators_at_once_change_and_cancel_once(shop: Shop) -> None:
    apps, price = [shop.app(STRIPE_PRORATION_BEHAVIOR="always_invoice") for _ in range(3)], shop.price(2000)
    id = subscribed(shop, apps[0])
    at = half(shop, id)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda app: update(app, id, price=price, proration_date=at), apps))
        assert [one["amount_received"] for one in shop.sandbox.payments(shop.get(id)["customer"])] == [500, 1000]
        done = list(pool.map(lambda app: cancel(app, id, immediate=True), apps))
    assert {one.status for one in done} == {"canceled"}


def test_canceling_takes_quota_and_access_away_over_http_at_once(shop: Shop) -> None:
    app = shop.app(BILLING_DEFAULT_PLAN="none")
    id = subscribed(shop, app, shop.price(metadata={"plan": "pro"}))
    key = api_key.create(app, CreateApiKey(name="app", scopes="quota,subscription:write")).key

    def ask(address: str, path: str, body: object) -> int:
        request = urllib.request.Request(
            f"{address}{path}", json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code

    wish = {"user": "user", "metric": "api_calls", "value": 1}
    with served(app) as address:
        assert ask(address, "/api/v1/quota/check", wish) == 200
        assert ask(address, f"/api/v1/subscriptions/{id}/cancel", {"immediate": True}) == 200
        assert ask(address, "/api/v1/quota/check", wish) == 429
        assert ask(address, "/api/v1/quota/reserve", wish) == 429
    assert not access.show(app, ShowAccess(user="user")).access


def test_the_log_names_the_deed_and_the_subscription_in_one_line(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(log, "info", lambda message, **fields: lines.append(f"{message} {fields}"))
    app = shop.app()
    id = subscribed(shop, app)
    update(app, id, price=shop.price(2000))
    cancel(app, id, immediate=True)
    text = "\n".join(lines)
    assert re.search(f"cancel.*{id}", text) and re.search(f"proration.*{id}", text)


# Completing


def incomplete(shop: Shop, app: App, card: str, user: str = "user", **price: Any) -> str:
    return subscribed(shop, app, shop.price(**price), user=user) if not card else shop.subscribe(
        shop.customer(app, user, card), shop.price(**price)
    )  # fmt: skip


def test_what_can_be_paid_is_completed(shop: Shop) -> None:
    app = shop.app()
    id = incomplete(shop, app, "pm_card_chargeCustomerFail")
    failures = f"nself billing payments failures --customer {shop.get(id)['customer']}"
    assert shop.get(id)["status"] == "incomplete"
    for given in ({}, {"force": True}):
        with pytest.raises(
            PaymentFailed, match=r"Unable to complete subscription: .*declined.* is incomplete"
        ) as error:
            complete(app, id, **given)
        assert (error.value.code, error.value.hint[0]) == ("card_declined", failures)
    waits = show.show(app, ShowSubscription(subscription=id))
    assert (waits.status, waits.helps) == ("incomplete", [failures, f"nself billing subscription complete {id}"])
    customer = shop.get(id)["customer"]
    method = shop.sandbox.post("/v1/payment_methods/pm_card_visa/attach", customer=customer)["id"]
    done = complete(app, id, payment_method=method)
    assert (done.status, done.changed) == ("active", True)
    assert [one["amount_received"] for one in shop.sandbox.payments(customer)] == [2000]
    again = complete(app, id, force=True)
    assert (again.changed, again.note) == (False, "is active: there is nothing to complete")


def test_3d_secure_is_named_and_completed_by_the_customer(shop: Shop) -> None:
    app = shop.app()
    id = incomplete(shop, app, "pm_card_authenticationRequired")
    with pytest.raises(RequiresAction, match="requires customer action to authenticate payment"):
        complete(app, id, force=True)
    (intent,) = shop.sandbox.get("/v1/payment_intents", customer=shop.get(id)["customer"])
    shop.sandbox.admin(f"payment_intents/{intent['id']}/authenticate", outcome="succeed")
    assert not complete(app, id).changed
    shown = show.show(app, ShowSubscription(subscription=id))
    assert (shown.status, shown.helps) == ("active", [])


def test_what_cannot_be_paid_is_never_marked_as_paid_but_can_be_given(shop: Shop) -> None:
    app = shop.app(BILLING_DEFAULT_PLAN="none")
    id = incomplete(shop, app, "pm_card_chargeCustomerFail", metadata={"plan": "pro"})
    shop.look(app)
    for given in ({"comp": True}, {"comp": True, "reason": "why"}, {"force": True, "comp": True}):
        with pytest.raises(CompNeedsReason):
            complete(app, id, **given)
    (refused,) = states(app, "user", "api_calls", 1, "look")
    assert not refused.allowed
    done = complete(app, id, force=True, comp=True, reason="outage on Monday")
    assert (done.status, shop.get(id)["status"]) == ("incomplete", "incomplete")
    assert "not marked as paid" in done.note
    (allowed,) = states(app, "user", "api_calls", 1, "look")
    assert (allowed.allowed, allowed.source) == (True, "plan pro")
    ((reason, actor),) = shop.bench.sql("select reason, actor from billing_comps")
    assert (reason, actor) == ("outage on Monday", app.operator())
    assert shop.newest_invoice(id)["status"] == "open"


def test_a_void_invoice_cannot_be_completed(shop: Shop) -> None:
    app = shop.app()
    id = incomplete(shop, app, "pm_card_chargeCustomerFail")
    shop.sandbox.post(f"/v1/invoices/{shop.newest_invoice(id)['id']}/void")
    with pytest.raises((Unpaid, Canceled), match=r"is void|never revives"):
        complete(app, id)


def test_completing_at_once_charges_once(shop: Shop) -> None:
    apps = [shop.app() for _ in range(3)]
    id = incomplete(shop, apps[0], "pm_card_chargeCustomerFail")
    shop.use_card(shop.get(id)["customer"], "pm_card_visa")
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda app: complete(app, id), apps))
    assert {one.status for one in done} == {"active"}
    assert [one["amount_received"] for one in shop.sandbox.payments(shop.get(id)["customer"])] == [2000]


def test_configuration_is_shown_with_its_origin(shop: Shop) -> None:
    app = shop.app(STRIPE_PRORATION_BEHAVIOR="always_invoice")
    id = subscribed(shop, app)
    rows = {one.name: one for one in config.show(app, ShowConfig(subscription=id))}
    assert (rows["STRIPE_PRORATION_BEHAVIOR"].value, rows["billing_mode"].value) == ("always_invoice", "flexible")
    assert rows["billing_cycle_anchor"].origin == id
    assert {"collection_method", "BILLING_TIMEZONE", "BILLING_CANCELLATION_MODE", "next_payment_attempt"} <= rows.keys()


def paid(shop: Shop, id: str) -> list[int]:
    return [one["amount_received"] for one in shop.sandbox.payments(shop.get(id)["customer"])]


def test_a_crash_at_any_commit_or_call_of_completing_pays_once(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)

    def unpaid() -> Iterator[str]:
        for at in itertools.count():
            id = shop.subscribe(shop.customer(app, f"user{at}", "pm_card_chargeCustomerFail"), price)
            shop.use_card(shop.get(id)["customer"], "pm_card_visa")
            yield id

    for id in crash_at_calls_and_commits(shop, unpaid(), complete):
        assert (shop.get(id)["status"], paid(shop, id)) == ("active", [2000])


def test_a_crash_at_any_commit_or_call_of_reactivating_keeps_it(shop: Shop) -> None:
    app, price = shop.app(), shop.price(2000)
    ending = (subscribed(shop, app, price, user=f"user{at}", cancel_at_period_end="true") for at in itertools.count())
    for id in crash_at_calls_and_commits(shop, ending, reactivate):
        assert (shop.get(id)["cancel_at_period_end"], paid(shop, id)) == (False, [2000])


PAUSES = {"end_behavior": {"missing_payment_method": "pause"}}


def test_a_crash_at_any_commit_or_call_of_resuming_pays_once(shop: Shop) -> None:
    price = shop.price(2000)
    customers = [shop.sandbox.post("/v1/customers", email=f"{at}@example.com")["id"] for at in range(30)]
    ids = [shop.subscribe(one, price, trial_period_days=1, trial_settings=PAUSES) for one in customers]
    shop.pass_days(1.1)
    for customer in customers:
        shop.use_card(customer, "pm_card_visa")
    for id in crash_at_calls_and_commits(shop, iter(ids), reactivate):
        assert (shop.get(id)["status"], paid(shop, id)) == ("active", [2000])


def test_a_resumption_that_is_not_paid_is_told_as_one(shop: Shop) -> None:
    app = shop.app()
    customer = shop.sandbox.post("/v1/customers", email="user@example.com")["id"]
    id = shop.subscribe(customer, shop.price(2000), trial_period_days=1, trial_settings=PAUSES)
    shop.pass_days(1.1)
    words = f"Unable to reactivate subscription: customer {customer} has no payment method"
    with pytest.raises(NothingToCharge, match=words):
        reactivate(app, id)
    shop.use_card(customer, "pm_card_chargeCustomerFail")
    with pytest.raises(PaymentFailed, match=r"Unable to reactivate subscription: .*declined.* is paused"):
        reactivate(app, id)
    assert show.show(app, ShowSubscription(subscription=id)).status == "paused"
    shop.use_card(customer, "pm_card_visa")
    assert reactivate(app, id).status == "active"
    assert [one["amount_received"] for one in shop.sandbox.payments(customer)] == [2000]
