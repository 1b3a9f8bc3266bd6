"""Made, filled, finalised and paid by hand: killed at every seam, answered by 500 after the work, by two at once. Once each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from billing_hand import Hand
from money_bench import Bench
from money_seams import Crash, Seams, fragile

from nself.app import App
from nself.core.errors import BillingError
from nself.domains.invoice.errors import InvoiceNotEditable
from nself.domains.invoice.inputs import AddItem, CreateInvoice, Credit, Finalize, Pay, ReadInvoice
from nself.domains.invoice.service import edit, finish, renew

STRICT = {"BILLING_MINIMUM_CHARGE": "usd:5000", "BILLING_MINIMUM_CHARGE_MODE": "carry_forward"}


def whole_run(app: App, customer: str) -> str:
    """As an operator who gives every line again after a crash; keys name what may be wished twice."""
    made = edit.create(app, CreateInvoice(customer=customer, amount=1000, idempotency_key=f"create {customer}"))
    edit.add_item(app, AddItem(invoice=made.id, amount=500, description="More", idempotency_key=f"add {customer}"))
    if made.status == "draft":
        finish.finalize(app, Finalize(invoice=made.id))
    finish.pay(app, Pay(invoice=made.id, retry=True))
    return made.id


def again(app: App, customer: str) -> str:
    """The same lines after a crash: what stands already is told, not done."""
    made = edit.create(app, CreateInvoice(customer=customer, amount=1000, idempotency_key=f"create {customer}"))
    for deed in (
        lambda: edit.add_item(
            app, AddItem(invoice=made.id, amount=500, description="More", idempotency_key=f"add {customer}")
        ),
        lambda: finish.finalize(app, Finalize(invoice=made.id)),
    ):
        with suppress(InvoiceNotEditable):
            deed()
    finish.pay(app, Pay(invoice=made.id, retry=True))
    return made.id


def seams_of(hand: Hand, run: Callable[[App, str], object], **settings: str) -> list[str]:
    seams = Seams()
    app = fragile(hand.bench, seams, **settings)
    run(app, hand.customer())
    return list(seams.passed)


def crash(hand: Hand, run: Callable[[App, str], object], customer: str, at: int, **settings: str) -> bool:
    app = fragile(hand.bench, Seams(at), **settings)
    try:
        run(app, customer)
    except Crash:
        return True
    finally:
        app.close()
    return False


def once(hand: Hand, customer: str, seam: object) -> None:
    invoices = [(one["status"], one["total"]) for one in hand.sandbox.invoices(customer)]
    assert invoices == [("paid", 1500)], f"seam {seam}"
    assert hand.charged(customer) == [1500], f"seam {seam}"


def chosen(names: list[str]) -> list[int]:
    """Every commit and call, and each seventh of the statements, most of which only read."""
    statements = [at for at, name in enumerate(names, 1) if name == "after statement"]
    return sorted([at for at, name in enumerate(names, 1) if name != "after statement"] + statements[::7])


def test_a_crash_at_any_seam_leaves_one_invoice_and_one_charge(bench: Bench):
    hand = Hand(bench)
    names, crashed = seams_of(hand, whole_run), 0
    assert {"after change invoices", "after change invoiceitems", "after change invoices finalize"} <= set(names)
    for at in chosen(names):
        customer = hand.customer()
        crashed += crash(hand, whole_run, customer, at)
        bench.pass_time()
        bench.work(hand.app)  # the worker finishes what was begun
        assert [one for one in bench.intents() if one[1] == "pending"] == [], f"seam {at}"
        id = again(hand.app, customer)
        once(hand, customer, f"{at} {names[at - 1]}")
        hand.same(id)
    assert crashed > 40


@pytest.mark.long
def test_a_crash_at_any_seam_while_a_small_amount_is_carried_forward_conserves_every_cent(bench: Bench):
    hand = Hand(bench, **STRICT)

    def run(app: App, customer: str) -> None:
        made = edit.create(app, CreateInvoice(customer=customer, amount=1500, idempotency_key=f"create {customer}"))
        finish.finalize(app, Finalize(invoice=made.id))

    names = seams_of(hand, run, **STRICT)
    assert names.count("after change customers balance_transactions") == 2
    for at in chosen(names):
        customer = hand.customer()
        crash(hand, run, customer, at, **STRICT)
        bench.pass_time()
        bench.work(hand.app)
        with suppress(InvoiceNotEditable):
            run(hand.app, customer)
        (invoice,) = hand.sandbox.invoices(customer)
        state = (invoice["status"], invoice["total"], hand.balance(customer), hand.charged(customer))
        assert state == ("paid", 1500, 1500, []), f"seam {at} {names[at - 1]}"


def test_a_crash_at_any_seam_of_a_new_draft_leaves_one_that_is_owed(bench: Bench):
    hand = Hand(bench)

    def open_invoice(customer: str) -> str:
        made = hand.create(customer, amount=1000)
        hand.add(made.id, amount=500)
        return hand.finalize(made.id).id

    first = open_invoice(hand.customer())
    seams = Seams()
    renew.regenerate(fragile(bench, seams), ReadInvoice(invoice=first))
    for at in chosen(seams.passed):
        customer = hand.customer()
        old = open_invoice(customer)
        crash(hand, lambda app, old: renew.regenerate(app, ReadInvoice(invoice=old)), old, at)
        bench.pass_time()
        new = renew.regenerate(hand.app, ReadInvoice(invoice=old))
        found = {one["id"]: (one["status"], one["total"]) for one in hand.sandbox.invoices(customer)}
        assert found == {old: ("void", 1500), new.id: ("draft", 1500)}, f"seam {at} {seams.passed[at - 1]}"


@pytest.mark.parametrize("drop", [False, True])
def test_a_500_or_no_answer_after_the_work_does_nothing_twice(bench: Bench, drop: bool):
    hand = Hand(bench)
    for path in ("/v1/invoices", "/v1/invoiceitems", "/v1/invoices/in_.*/finalize", "/v1/invoices/in_.*/pay"):
        customer = hand.customer()
        fault = {"drop": True} if drop else {"status": 500}
        hand.sandbox.fault(f"{path}$", after=True, times=2, **fault)
        id = whole_run(hand.app, customer)
        hand.sandbox.admin("faults/clear")
        once(hand, customer, path)
        hand.same(id)


def both(apps: list[App], deed: Callable[[App, Any], object], given: object) -> list[object]:
    """What two at the same time get of it."""
    start = threading.Barrier(2)

    def run(app: App) -> object:
        start.wait()
        try:
            return deed(app, given)
        except BillingError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, apps))


def test_two_operators_at_once_make_one_of_each(bench: Bench):
    """Without keys: what two wish at the same time is one wish."""
    hand, other = Hand(bench), Hand(bench)
    apps = [hand.app, other.app]
    for amount in range(1000, 1005):
        customer = hand.customer()
        hand.sandbox.fault("/v1/invoices$", delay=0.5)  # so that they do meet
        made = both(apps, edit.create, CreateInvoice(customer=customer, amount=amount))
        (invoice,) = hand.sandbox.invoices(customer)
        id = invoice["id"]
        assert [getattr(one, "id", one) for one in made] == [id, id]
        hand.sandbox.fault("/v1/invoiceitems$", delay=0.5)
        both(apps, edit.add_item, AddItem(invoice=id, amount=7, description="Fee"))
        assert hand.there(id)["total"] == amount + 7
        both(apps, finish.finalize, Finalize(invoice=id))
        assert hand.there(id)["status"] == "open"
        both(apps, finish.pay, Pay(invoice=id, retry=True))
        assert hand.charged(customer) == [amount + 7]
        both(apps, finish.credit, Credit(invoice=id, reason="billing_error"))
        assert len(hand.sandbox.get("/v1/credit_notes", invoice=id)) == 1
        assert hand.balance(customer) == -amount - 7
        hand.same(id)
        next_id = hand.finalize(hand.create(customer, amount=3000).id).id
        found = both(apps, renew.regenerate, ReadInvoice(invoice=next_id))
        assert len({getattr(one, "id", one) for one in found}) == 1
        assert sorted(one["status"] for one in hand.sandbox.invoices(customer)) == ["draft", "paid", "void"]


def test_the_same_line_given_twice_on_purpose_is_added_twice(bench: Bench):
    hand = Hand(bench)
    id = hand.create(hand.customer()).id
    assert [hand.add(id, amount=100, description="Same").lines for _ in range(3)] == [1, 2, 3]
    assert [hand.add(id, amount=7, idempotency_key="k").lines for _ in range(3)] == [4, 4, 4]
