"""No cent more than was agreed on, and none given back that was not paid."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from billing_hand import Hand
from money_bench import Bench
from money_seams import Pause, fragile

from nself.app import App
from nself.core.errors import ExclusiveParameters
from nself.domains.invoice.errors import NotCreditable
from nself.domains.invoice.inputs import Credit, ReadInvoice
from nself.domains.invoice.service import edit, finish, renew
from nself.domains.payment.errors import BatchIncomplete, BatchRefused, GivenBackMeanwhile, NotRefundable
from nself.domains.payment.inputs import CreateRefund, RefundFile
from nself.domains.payment.model import CreatedRefund
from nself.domains.payment.service import batch, refunds
from nself.gateway.errors import Refused

AUTOMATIC = {"STRIPE_TAX_CALCULATION": "automatic"}
BERLIN = {"line1": "Hauptstr. 1", "city": "Berlin", "postal_code": "10115", "country": "DE"}
MONTHLY = {"recurring": {"interval": "month"}}


@pytest.fixture
def hand(bench: Bench) -> Hand:
    return Hand(bench, **AUTOMATIC)


@pytest.mark.parametrize(("behavior", "total"), [("inclusive", 11900), ("exclusive", 14161)])
def test_a_period_of_a_price_has_the_tax_that_the_price_says(hand: Hand, behavior: str, total: int) -> None:
    price = hand.price("11900", "eur", tax_behavior=behavior, **MONTHLY)
    assert hand.create(hand.customer(address=BERLIN), price=price).total_minor == total


@pytest.mark.parametrize("more", [MONTHLY, {}])
@pytest.mark.parametrize("address", [BERLIN, None])
def test_an_invoice_anew_asks_for_the_same(hand: Hand, more: dict[str, Any], address: dict[str, str] | None) -> None:
    price, customer = hand.price("11900", "eur", tax_behavior="inclusive", **more), hand.customer(address=address)
    made = hand.create(customer, price=price)
    anew = renew.regenerate(hand.app, ReadInvoice(invoice=made.id))
    hand.sandbox.post(f"/v1/customers/{customer}", address=BERLIN)
    assert edit.recalculate(hand.app, ReadInvoice(invoice=anew.id)).total_minor == 11900
    assert hand.there(anew.id)["total_taxes"][0]["amount"] == 1900


def test_a_quantity_of_an_amount_is_refused_and_not_forgotten(hand: Hand) -> None:
    with pytest.raises(ExclusiveParameters, match="quantity"):
        hand.create(hand.customer(), amount=1000, quantity=3)
    draft = hand.create(hand.customer(), amount=1000).id
    with pytest.raises(ExclusiveParameters, match="quantity"):
        hand.add(draft, amount=1000, quantity=3)
    assert hand.there(draft)["subtotal"] == 1000


# ---- Given back, whichever way ----


def paid(hand: Hand, amount: int = 3000, **customer: Any) -> tuple[str, str]:
    """An invoice and the charge that paid it."""
    id = hand.create(hand.customer(address=BERLIN, **customer), amount=amount).id
    hand.finalize(id)
    hand.pay(id)
    return id, refunds.charge_of(hand.app, id)


def credit(hand: Hand, invoice: str, **more: Any) -> finish.Credited:
    return finish.credit(hand.app, Credit(invoice=invoice, reason="billing_error", **more))


def refund(hand: Hand, charge: str, **more: Any) -> CreatedRefund:
    return refunds.create(hand.app, CreateRefund(charge=charge, reason="billing_error", **more))


@pytest.fixture
def plain(bench: Bench) -> Hand:
    return Hand(bench)


def test_what_went_to_the_balance_is_not_refunded_too(plain: Hand) -> None:
    invoice, charge = paid(plain)
    credit(plain, invoice, amount=2000)
    for more in ({"amount": 1001}, {"amount": 1001, "idempotency_key": "k"}):
        with pytest.raises(NotRefundable, match=r"20.00 USD .*balance"):
            refund(plain, charge, **more)
    assert refund(plain, charge).amount_minor == 1000
    with pytest.raises(NotRefundable, match="balance"):
        refund(plain, charge)


def test_what_was_refunded_is_not_credited_too(plain: Hand) -> None:
    invoice, charge = paid(plain)
    refund(plain, charge, amount=2000)
    with pytest.raises(NotCreditable, match="1000 can still be credited"):
        credit(plain, invoice, amount=1001)
    assert credit(plain, invoice).to_balance_minor == 1000
    with pytest.raises(NotCreditable, match="0 can still be credited"):
        credit(plain, invoice)


def test_refunds_of_credit_notes_count_once(plain: Hand) -> None:
    invoice, charge = paid(plain)
    assert credit(plain, invoice, amount=1000, refund=True).refunded_minor == 1000
    assert refund(plain, charge, amount=500).amount_minor == 500
    assert credit(plain, invoice, amount=500).to_balance_minor == 500
    assert credit(plain, invoice, refund=True).refunded_minor == 1000
    with pytest.raises(NotRefundable):
        refund(plain, charge)


def test_what_the_balance_paid_may_go_back_to_it(plain: Hand) -> None:
    invoice, charge = paid(plain, balance=-1000)
    assert credit(plain, invoice, amount=1000).to_balance_minor == 1000
    assert refund(plain, charge).amount_minor == 2000


def test_what_was_charged_back_is_not_credited_too(plain: Hand) -> None:
    dispute = "pm_card_createDispute"
    invoice, _ = paid(plain, card=dispute)
    with pytest.raises(NotCreditable, match="0 can still be credited"):
        credit(plain, invoice)


def test_a_batch_reckons_with_what_went_to_the_balance(plain: Hand, tmp_path: Path) -> None:
    invoice, charge = paid(plain)
    credit(plain, invoice, amount=2000)
    path = tmp_path / "affected.csv"
    path.write_text(f"invoice,amount,currency\n{invoice},,usd\n")
    done = batch.refund_file(plain.app, RefundFile(input=str(path), reason="billing_error"))
    assert (done.refunded, done.totals) == (1, ["10.00 USD"])
    path.write_text(f"charge,amount,currency\n{charge},100,usd\n")
    with pytest.raises(BatchRefused, match="balance"):
        batch.refund_file(plain.app, RefundFile(input=str(path), reason="billing_error"))


def credit_all(app: App, invoice: str, path: Path) -> None:
    finish.credit(app, Credit(invoice=invoice, reason="billing_error"))


def refund_all(app: App, invoice: str, path: Path) -> None:
    refunds.create(app, CreateRefund(invoice=invoice, reason="billing_error"))


def refund_under_key(app: App, invoice: str, path: Path) -> None:
    refunds.create(app, CreateRefund(invoice=invoice, reason="billing_error", idempotency_key=f"all-{invoice}"))


def refund_in_a_file(app: App, invoice: str, path: Path) -> None:
    (path / "wrong.csv").write_text(f"invoice,amount,currency\n{invoice},,usd\n")
    batch.refund_file(app, RefundFile(input=str(path / "wrong.csv"), reason="billing_error"))


ALONE = 10_000
WAYS = pytest.mark.parametrize("first", [credit_all, refund_all, refund_under_key, refund_in_a_file])


def both(hand: Hand, path: Path, first: Callable[[App, str, Path], None], at: int) -> list[str]:
    """What the one passed to whom the other came at seam `at`, if he came; what went back in the end is what was paid."""
    second = refund_all if first is credit_all else credit_all
    other, (invoice, charge) = hand.bench.app(), paid(hand)

    def meanwhile() -> None:
        with suppress(GivenBackMeanwhile):  # the first has it, and goes on with it
            second(other, invoice, path)

    pause = Pause(at, meanwhile)
    slow = fragile(hand.bench, pause)
    with suppress(GivenBackMeanwhile, NotCreditable, NotRefundable, BatchIncomplete, BatchRefused, Refused):
        first(slow, invoice, path)
    slow.close()
    note = hand.there(invoice)["post_payment_credit_notes_amount"]
    assert note + hand.sandbox.get(f"/v1/charges/{charge}")["amount_refunded"] == 3000, (at, pause.passed)
    return pause.passed if pause.done or at == ALONE else []


@WAYS
def test_two_who_give_all_back_each_in_their_way_give_it_back_once(
    plain: Hand, tmp_path: Path, first: Callable[[App, str, Path], None]
) -> None:
    """The one has seen all that is left when the other comes."""
    passed = both(plain, tmp_path, first, ALONE)
    called = next(at for at, seam in enumerate(passed) if seam.startswith("before change"))
    seen = max(at for at in range(called) if passed[at] == "after fetch")
    assert both(plain, tmp_path, first, 1 + passed.index("after commit", seen))


@pytest.mark.long
@WAYS
def test_whenever_the_other_comes_all_is_given_back_once(
    plain: Hand, tmp_path: Path, first: Callable[[App, str, Path], None]
) -> None:
    at = 1
    while both(plain, tmp_path, first, at):
        at += 1
    assert at > 5
