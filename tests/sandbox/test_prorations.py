"""Prorations and billing dates, with numbers worked by hand; more of them in test_worked_cases.py.

April has 30 days, so the fractions are easy to follow.
"""

from typing import Any

import pytest
import stripe

from sandbox.conftest import Sdk, event_types, refusal
from sandbox.timing import advance, at, clocked, invoices, lines, price, subscribe

MODES = pytest.mark.parametrize("mode", ["flexible", "classic"])


def started(api: Sdk, one: Any, now: str = "2026-04-01", mode: str = "flexible", **fields: Any) -> tuple[Any, Any]:
    customer = clocked(api, now)
    return customer, subscribe(api, customer, one, billing_mode={"type": mode}, **fields)


def change(api: Sdk, subscription: Any, one: Any = None, **fields: Any) -> Any:
    item: dict[str, Any] = {"id": subscription["items"].data[0].id}
    if one is not None:
        item["price"] = one.id
    if "quantity" in fields:
        item["quantity"] = fields.pop("quantity")
    return api.subscriptions.update(subscription.id, {"items": [item], **fields})


def pending(api: Sdk, customer: Any) -> list[int]:
    """Amounts, oldest first."""
    return [one.amount for one in api.invoice_items.list({"customer": customer.id, "pending": True}).data][::-1]


@MODES
@pytest.mark.parametrize(
    ("currency", "old", "new", "credit", "debit"),
    [
        ("usd", 1000, 2000, -667, 1333),  # 20 of 30 days: 666.67 and 1333.33
        ("usd", 9900, 29900, -6600, 19933),
        ("jpy", 1001, 2003, -667, 1335),  # 667.33 and 1335.33
        ("kwd", 12345, 9995, -8230, 6663),  # 8230 and 6663.33
    ],
)
def test_a_new_price_after_10_of_30_days(
    api: Sdk, mode: str, currency: str, old: int, new: int, credit: int, debit: int
) -> None:
    customer, subscription = started(api, price(api, old, currency=currency), mode=mode)
    advance(api, customer.test_clock, "2026-04-11")
    changed = change(api, subscription, price(api, new, currency=currency))
    assert changed["items"].data[0].price.unit_amount == new
    assert pending(api, customer) == [credit, debit]
    advance(api, customer.test_clock, "2026-05-01T01:00")
    renewed = invoices(api, subscription)[1]
    assert renewed.total == credit + debit + new
    assert sorted(lines(renewed)) == sorted([
        (credit, at("2026-04-11"), at("2026-05-01")),
        (debit, at("2026-04-11"), at("2026-05-01")),
        (new, at("2026-05-01"), at("2026-06-01")),
    ])  # fmt: skip
    assert pending(api, customer) == []


def test_what_a_proration_looks_like(api: Sdk) -> None:
    customer, subscription = started(api, price(api, 1000))
    first = invoices(api, subscription)[0]
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, 2000))
    debit, credit = api.invoice_items.list({"pending": True}).data
    item = subscription["items"].data[0].id
    assert (credit.amount, debit.amount) == (-500, 1000)
    assert credit.proration and not credit.discountable
    assert (credit.parent.subscription_details.subscription, credit.parent.subscription_details.subscription_item) == (
        subscription.id, item,
    )  # fmt: skip
    credited = credit.proration_details.credited_items.invoice_line_item_details
    assert (credited.invoice, credited.invoice_line_items) == (first.id, [first.lines.data[0].id])
    assert credit.description == "Unused time on Plan after 16 Apr 2026"
    assert debit.description == "Remaining time on Plan after 16 Apr 2026"
    assert event_types(api)[-3:] == ["invoiceitem.created", "invoiceitem.created", "customer.subscription.updated"]
    advance(api, customer.test_clock, "2026-05-01")
    line = next(one for one in invoices(api, subscription)[1].lines.data if one.amount == -500)
    details = line.parent.subscription_item_details
    assert (details.proration, details.invoice_item, details.subscription_item) == (True, credit.id, item)
    assert details.proration_details.credited_items.invoice == first.id


@MODES
def test_per_second(api: Sdk, mode: str) -> None:
    """One second of 2,592,000 after which 2,591,999 remain of 100,000,00: 9999996.14 and twice that, 19999992.28."""
    customer, subscription = started(api, price(api, 10_000_000), mode=mode)
    advance(api, customer.test_clock, at("2026-04-01") + 1)
    change(api, subscription, price(api, 20_000_000))
    assert pending(api, customer) == [-9_999_996, 19_999_992]


@MODES
def test_quantity(api: Sdk, mode: str) -> None:
    """2 -> 5 seats of 300 half way: -300 and +750; to 0 at once: -750 and 0."""
    customer, subscription = started(api, price(api, 300), mode=mode)
    change(api, subscription, quantity=2, proration_behavior="always_invoice")
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, quantity=5)
    assert pending(api, customer) == [-300, 750]
    change(api, subscription, quantity=0)
    assert pending(api, customer) == [-300, 750, -750, 0]


def test_the_modes_differ_after_a_change_that_was_not_prorated(api: Sdk) -> None:
    """1000 was debited. After 10 of 30 days the price is 3000, not prorated; after 20 it is 6000.
    Flexible credits a third of what was debited, -333; classic a third of the current price, -1000.
    Both charge a third of 6000."""
    found: dict[str, list[int]] = {}
    for mode in ("flexible", "classic"):
        customer, subscription = started(api, price(api, 1000), mode=mode)
        advance(api, customer.test_clock, "2026-04-11")
        change(api, subscription, price(api, 3000), proration_behavior="none")
        assert pending(api, customer) == []
        advance(api, customer.test_clock, "2026-04-21")
        change(api, subscription, price(api, 6000))
        found[mode] = pending(api, customer)
    assert found == {"flexible": [-333, 2000], "classic": [-1000, 2000]}


def test_flexible_credits_what_the_discount_left(api: Sdk) -> None:
    """1000 less 40 % were 600; half of that is credited, -300, and half of 2000 charged."""
    customer = clocked(api, "2026-04-01")
    coupon = api.coupons.create({"percent_off": 40, "duration": "once"})
    subscription = subscribe(api, customer, price(api, 1000), discounts=[{"coupon": coupon.id}])
    assert invoices(api, subscription)[0].total == 600
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, 2000))
    assert pending(api, customer) == [-300, 1000]


@pytest.mark.parametrize(("mode", "credit"), [("flexible", 1001), ("classic", 1000)])
def test_always_invoice_charges_and_credits_at_once(api: Sdk, mode: str, credit: int) -> None:
    """10 of 30 days: 1000 -> 4000 costs -667 + 2667 = 2000. After 20 of 30 days back to 1000, +333:
    classic credits a third of 4000, -1333, in all -1000; flexible half of the 2667 debited, -1334, in all -1001.
    The credit stays on the balance. The renewal of 1000 uses it up; of 1001, 1 is left."""
    customer, subscription = started(api, low := price(api, 1000), mode=mode)
    advance(api, customer.test_clock, "2026-04-11")
    change(api, subscription, price(api, 4000), proration_behavior="always_invoice")
    up = invoices(api, subscription)[-1]
    assert (up.billing_reason, up.status, up.total, up.amount_paid) == ("subscription_update", "paid", 2000, 2000)
    assert [line.amount for line in up.lines.data] == [2667, -667]
    assert (up.period_start, up.period_end) == (at("2026-04-01"), at("2026-04-11"))
    advance(api, customer.test_clock, "2026-04-21")
    changed = change(api, subscription, low, proration_behavior="always_invoice")
    down = invoices(api, subscription)[-1]
    assert (down.id, down.status, down.total, down.amount_due) == (changed.latest_invoice, "paid", -credit, 0)
    assert api.customers.retrieve(customer.id).balance == -credit
    advance(api, customer.test_clock, "2026-05-01T02:00")
    renewed = invoices(api, subscription)[-1]
    assert (renewed.total, renewed.starting_balance, renewed.amount_paid) == (1000, -credit, 0)
    assert renewed.ending_balance == api.customers.retrieve(customer.id).balance == 1000 - credit


def test_a_small_proration_waits_on_the_balance(api: Sdk) -> None:
    """Half of 1000 -> 1060 is -500 + 530 = 30, below 50 cents: nothing is asked, 30 are owed with the renewal."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, 1060), proration_behavior="always_invoice")
    small = invoices(api, subscription)[-1]
    assert (small.total, small.amount_due, small.ending_balance, small.status) == (30, 0, 30, "paid")
    advance(api, customer.test_clock, "2026-05-01T02:00")
    assert invoices(api, subscription)[-1].amount_paid == 1090


def test_proration_date(api: Sdk) -> None:
    """As though it were 21 April, when a third remains, on 24 April."""
    customer, subscription = started(api, price(api, 3000))
    advance(api, customer.test_clock, "2026-04-24")
    for wrong in ("2026-03-31", "2026-05-02"):
        dated = {"proration_date": at(wrong)}
        error = refusal(stripe.InvalidRequestError, api.subscriptions.update, subscription.id, dated)
        assert error.param == "proration_date"
    change(api, subscription, price(api, 6000), proration_date=at("2026-04-21"))
    assert pending(api, customer) == [-1000, 2000]


def test_items_come_and_go(api: Sdk) -> None:
    """Half way: a second item of 600 costs 300 now; without the first, 500 come back."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    second = api.subscription_items.create({"subscription": subscription.id, "price": price(api, 600).id})
    assert (second.quantity, second.current_period_end) == (1, at("2026-05-01"))
    assert pending(api, customer) == [300]
    api.subscription_items.delete(subscription["items"].data[0].id)
    assert pending(api, customer) == [300, -500]
    left = api.subscription_items.list({"subscription": subscription.id}).data
    assert [one.id for one in left] == [second.id]
    assert refusal(stripe.InvalidRequestError, api.subscription_items.delete, second.id).param == "items"
    assert api.subscription_items.update(second.id, {"quantity": 3, "metadata": {"a": "b"}}).metadata.a == "b"
    assert pending(api, customer) == [300, -500, -300, 900]
    assert api.subscription_items.retrieve(second.id).quantity == 3
    with_two = {"items": [{"id": second.id, "deleted": True}, {"price": price(api, 50).id, "quantity": 2}]}
    changed = api.subscriptions.update(subscription.id, {**with_two, "proration_behavior": "none"})
    assert [one.quantity for one in changed["items"].data] == [2]


def test_more_than_ten_items_are_paged(api: Sdk) -> None:
    customer = clocked(api, "2026-04-01")
    subscription = subscribe(api, customer, *(price(api, 100 + number) for number in range(12)))
    assert (len(subscription["items"].data), subscription["items"].has_more) == (10, True)
    paged = api.subscription_items.list({"subscription": subscription.id, "limit": 5})
    assert [one.price.unit_amount for one in paged.auto_paging_iter()] == list(range(100, 112))
    assert invoices(api, subscription)[0].total == sum(range(100, 112))


@MODES
def test_another_interval_resets_the_billing_date(api: Sdk, mode: str) -> None:
    """After 10 of 30 days from 3000 a month to 24000 a year: -2000 + 24000 at once, and the next time in a year."""
    customer, subscription = started(api, price(api, 3000), mode=mode)
    advance(api, customer.test_clock, "2026-04-11")
    changed = change(api, subscription, price(api, 24000, "year"))
    item = changed["items"].data[0]
    assert (changed.billing_cycle_anchor, item.current_period_start, item.current_period_end) == (
        at("2026-04-11"), at("2026-04-11"), at("2027-04-11"),
    )  # fmt: skip
    yearly = invoices(api, subscription)[-1]
    assert (yearly.billing_reason, yearly.total, yearly.status) == ("subscription_update", 22000, "paid")
    back = change(api, subscription, price(api, 3000), proration_behavior="none")
    assert invoices(api, subscription)[-1].total == 3000
    assert back["items"].data[0].current_period_end == at("2026-05-11")


def test_from_free_to_paid_resets_the_billing_date(api: Sdk) -> None:
    customer, subscription = started(api, free := price(api, 0))
    advance(api, customer.test_clock, "2026-04-11")
    paid = change(api, subscription, price(api, 3000))
    assert (paid.billing_cycle_anchor, invoices(api, subscription)[-1].total) == (at("2026-04-11"), 3000)
    advance(api, customer.test_clock, "2026-04-21")
    change(api, subscription, free)
    assert pending(api, customer) == [-2000, 0], "20 of 30 days; from paid to free the date stays"


@MODES
def test_the_billing_date_reset_by_hand(api: Sdk, mode: str) -> None:
    """On 16 April: -500 for the half that is not used, +1000 for a month from now."""
    customer, subscription = started(api, price(api, 1000), mode=mode)
    advance(api, customer.test_clock, "2026-04-16")
    reset = api.subscriptions.update(subscription.id, {"billing_cycle_anchor": "now"})
    assert reset["items"].data[0].current_period_end == at("2026-05-16")
    assert [line.amount for line in invoices(api, subscription)[-1].lines.data] == [-500, 1000]
    change(api, subscription, price(api, 2000))
    assert pending(api, customer) == [-1000, 2000]


@pytest.mark.parametrize(("behavior", "first"), [("create_prorations", 484), ("none", None)])
def test_a_billing_date_in_the_future(api: Sdk, behavior: str, first: int | None) -> None:
    """From 17 January to 1 February are 15 of January's 31 days: 1000 x 15 / 31 = 483.87. Or they are free."""
    customer = clocked(api, "2026-01-17")
    anchored = {"billing_cycle_anchor": at("2026-02-01"), "proration_behavior": behavior}
    subscription = subscribe(api, customer, price(api, 1000), **anchored)
    assert subscription.status == "active"
    assert subscription["items"].data[0].current_period_end == at("2026-02-01")
    assert [one.total for one in invoices(api, subscription)] == ([] if first is None else [first])
    advance(api, customer.test_clock, "2026-03-01T02:00")
    assert [one.total for one in invoices(api, subscription)][-2:] == [1000, 1000]
    late = {"billing_cycle_anchor": at("2026-04-02")}
    other = clocked(api, "2026-03-01")
    refusal(stripe.InvalidRequestError, lambda: subscribe(api, other, price(api, 1), **late))


def test_cancelled_in_a_later_period(api: Sdk) -> None:
    """To be canceled on 11 May: May is charged for 10 of 31 days, 3100 x 10 / 31 = 1000."""
    customer, subscription = started(api, price(api, 3100))
    later = api.subscriptions.update(subscription.id, {"cancel_at": at("2026-05-11")})
    assert (later.cancel_at, later.cancel_at_period_end) == (at("2026-05-11"), False)
    advance(api, customer.test_clock, "2026-05-20")
    assert [one.total for one in invoices(api, subscription)] == [3100, 1000]
    ended = api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", at("2026-05-11"))
    other = started(api, price(api, 1))[1]
    early = {"cancel_at": at("2026-04-05")}
    assert refusal(stripe.APIError, api.subscriptions.update, other.id, early).code == "sandbox_unsupported"
    api.subscriptions.update(other.id, {**early, "proration_behavior": "none"})
    assert api.subscriptions.update(other.id, {"cancel_at": ""}).cancel_at is None


@pytest.mark.parametrize(("invoice_now", "totals", "balance"), [(True, [1000, -500], -500), (False, [1000], 0)])
def test_cancelled_now_with_proration(api: Sdk, invoice_now: bool, totals: list[int], balance: int) -> None:
    """Half of 1000 comes back: to the balance at once, or as an item that waits."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    gone = api.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": invoice_now})
    assert (gone.status, gone.cancellation_details.reason) == ("canceled", "cancellation_requested")
    assert [one.total for one in invoices(api, subscription)] == totals
    assert api.customers.retrieve(customer.id).balance == balance
    assert pending(api, customer) == ([] if invoice_now else [-500])
    told = [one.type for one in api.events.list({"limit": 100}).data if one.data.object.id == gone.latest_invoice]
    assert told[-1] == "invoice.created", "nothing is told of an invoice before that"


def test_prorations_invoiced_by_hand(api: Sdk) -> None:
    """An invoice of no subscription takes all that is pending, that of another subscription does not."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    change(api, subscription, price(api, 3000))
    other = subscribe(api, customer, price(api, 70))
    assert (invoices(api, other)[0].total, pending(api, customer)) == (70, [-500, 1500])
    including = {"customer": customer.id, "pending_invoice_items_behavior": "include"}
    assert api.invoices.create(including).total == 1000
    assert pending(api, customer) == []


def test_what_is_pending_is_charged_at_the_end(api: Sdk) -> None:
    """Canceled at the period's end: the item of 200 and the prorations of -500 + 1500 come on a last invoice."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    api.invoice_items.create({"customer": customer.id, "amount": 200, "currency": "usd"})
    change(api, subscription, price(api, 3000))
    api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    advance(api, customer.test_clock, "2026-05-01T02:00")
    assert [(one.total, one.status) for one in invoices(api, subscription)] == [(1000, "paid"), (1200, "paid")]
    assert api.subscriptions.retrieve(subscription.id).status == "canceled"


def test_a_trial_that_starts_and_ends_on_a_running_subscription(api: Sdk) -> None:
    """On 16 April a trial until 30 April credits half of 1000; when it ends, a month costs 1000 - 500 on the balance."""
    customer, subscription = started(api, price(api, 1000))
    advance(api, customer.test_clock, "2026-04-16")
    trial = api.subscriptions.update(subscription.id, {"trial_end": at("2026-04-30")})
    assert (trial.status, trial.trial_start, trial.billing_cycle_anchor) == (
        "trialing",
        at("2026-04-16"),
        at("2026-04-30"),
    )
    assert [one.total for one in invoices(api, subscription)] == [1000, -500]
    advance(api, customer.test_clock, "2026-04-30T02:00")
    renewed = invoices(api, subscription)[-1]
    assert (renewed.total, renewed.amount_paid, renewed.billing_reason) == (1000, 500, "subscription_cycle")
    assert api.subscriptions.retrieve(subscription.id)["items"].data[0].current_period_end == at("2026-05-30")


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"items": [{"id": "si_none"}]}, "items[0][id]"),
        ({"items": [{"quantity": 2}]}, "items[0][price]"),
        ({"items": [{"price": "price_none"}]}, "items[0][price]"),
        ({"proration_date": 1}, "proration_date"),
        ({"trial_end": "soon"}, "trial_end"),
        ({"cancel_at": "1"}, "cancel_at"),
    ],
)
def test_wrong_changes(api: Sdk, params: dict[str, Any], param: str) -> None:
    _, subscription = started(api, price(api, 1000))
    assert refusal(stripe.InvalidRequestError, api.subscriptions.update, subscription.id, params).param == param
    before = api.subscriptions.retrieve(subscription.id)
    assert before["items"].data[0].quantity == 1


def test_mixed_intervals_are_not_here(api: Sdk) -> None:
    _, subscription = started(api, price(api, 1000))
    mixed = {"items": [{"price": price(api, 1, "year").id}]}
    assert refusal(stripe.APIError, api.subscriptions.update, subscription.id, mixed).code == "sandbox_unsupported"
