"""Pure rules of payments against slow models."""

from __future__ import annotations

import calendar
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.core.errors import BillingError, InvalidParameter
from nself.core.money import Money
from nself.domains.payment import rules
from nself.domains.payment.errors import BadBatch, CardsInTestModeOnly, IncorrectNumber, NotATestCard
from nself.domains.payment.model import TEST_CARDS
from stripe_sandbox.cards import BY_TOKEN

DAYS = st.dates(date(2000, 1, 1), date(2090, 12, 31))


def test_each_token_is_the_card_of_its_number() -> None:
    """The sandbox has its own list of the published numbers."""
    assert {token: BY_TOKEN[token].number for token in TEST_CARDS.values()} == {
        token: number for number, token in TEST_CARDS.items()
    }


@given(st.from_regex(r"[0-9 x-]{1,24}", fullmatch=True))
def test_any_other_number_is_refused_without_a_digit_of_it(number: str) -> None:
    digits = number.replace(" ", "").replace("-", "")
    if digits in TEST_CARDS:
        assert rules.token(number, live=False) == TEST_CARDS[digits]
        return
    with pytest.raises((IncorrectNumber, NotATestCard)) as refused:
        rules.token(number, live=False)
    assert refused.value.fields == {}
    with pytest.raises(CardsInTestModeOnly):
        rules.token(number, live=True)


@given(st.integers(1, 12), st.integers(2000, 2090), DAYS)
def test_a_card_is_good_to_the_last_day_of_its_month(month: int, year: int, today: date) -> None:
    last = date(year, month, calendar.monthrange(year, month)[1])
    assert rules.expired(month, year, today) == (last < today)
    try:
        assert rules.expiry(str(month), str(year), today) == (month, year)
        assert last >= today
    except BillingError:
        assert last < today or year > today.year + 50


def charge(captured: int, refunded: int = 0, **more: Any) -> dict[str, Any]:
    made = {
        "id": "ch_1",
        "object": "charge",
        "status": "succeeded",
        "captured": True,
        "currency": "usd",
        "disputed": False,
    }
    return {**made, "amount_captured": captured, "amount_refunded": refunded, **more}


@given(st.lists(st.one_of(st.none(), st.integers(1, 1200)), max_size=12), st.integers(0, 300))
def test_never_more_than_the_charge_is_given_back(wishes: list[int | None], before: int) -> None:
    """However many ask for whatever, in one batch: what is allowed sums up to what is left at most."""
    one, reserved = charge(1000, before), 0
    for wish in wishes:
        if rules.refusal(one, wish, reserved) is None:
            reserved += wish or rules.left(one) - reserved
        elif wish:
            assert reserved + wish > 1000 - before or reserved + before >= 1000
    assert reserved <= 1000 - before


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"status": "failed"}, "charge_not_refundable"),
        ({"captured": False}, "charge_not_refundable"),
        ({"disputed": True}, "charge_disputed"),
        ({"amount_refunded": 1000}, "charge_already_refunded"),
    ],
)
def test_what_cannot_be_given_back(what: dict[str, Any], code: str) -> None:
    found = rules.refusal(charge(1000) | what, None)
    assert found and found[1] == code


@given(st.lists(st.tuples(st.sampled_from(["usd", "eur", "jpy", "kwd"]), st.integers(1, 10**9))))
def test_totals_are_by_currency(parts: list[tuple[str, int]]) -> None:
    found = rules.totals(Money(minor, currency) for currency, minor in parts)
    expected = {currency: sum(minor for name, minor in parts if name == currency) for currency, _ in parts}
    assert sorted(found) == sorted(str(Money(minor, currency)) for currency, minor in expected.items())


@pytest.mark.parametrize(
    ("code", "invoice", "helps"),
    [
        ("processing_error", None, "nself billing payment create --amount 500 --currency usd --customer cus_1"),
        ("processing_error", "in_1", "nself billing invoice pay in_1 --retry"),
        (
            "expired_card",
            "in_1",
            "nself billing payment-method attach --customer cus_1 --payment-method pm_123 --default",
        ),
    ],
)
def test_what_an_invoice_asks_for_is_not_charged_beside_it(code: str, invoice: str | None, helps: str) -> None:
    failed = charge(0) | {"amount": 500, "customer": "cus_1"}
    assert rules.command(rules.meaning(code, None), failed, "pi_1", invoice) == helps


def test_the_issuers_reason_says_more_than_stripes_code() -> None:
    assert rules.meaning("card_declined", "insufficient_funds").title == "Insufficient funds"
    assert rules.meaning("expired_card", None).title == "Card expired"
    assert rules.meaning("incorrect_cvc", "incorrect_cvc").title == "Incorrect CVC"
    assert rules.meaning("card_declined", "never_heard_of").title == "Declined"
    assert rules.meaning(None, None).title == "Declined"


# ---- Files ----

HEADER = "customer,charge,amount,currency\n"


def test_rows_are_read_with_what_they_name() -> None:
    text = "\ufeffuser,invoice,payment_intent,Amount,CURRENCY,customer\nu,in_1,,10,USD,\n,,pi_2,,eur,cus_2\n\n"
    rows, wrong = rules.read_batch("x.csv", text)
    assert wrong == []
    assert [tuple(one) for one in rows] == [(2, "in_1", 10, "usd", None), (3, "pi_2", None, "eur", "cus_2")]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("cus_1,,10,usd", "names no charge"),
        ("cus_1,ch 1,10,usd", "names no charge"),
        ("cus_1,ch_1,10.00,usd", "Invalid integer: 10.00"),
        ("cus_1,ch_1,-5,usd", "amount is -5; 1 or more is needed"),
        ("cus_1,ch_1,0,usd", "amount is 0"),
        ("cus_1,ch_1,10,", "Invalid currency"),
        ("cus_1,ch_1", "it has 2 cells, the header has 4"),
        ("cus_1,ch_1,10,00,usd", "it has 5 cells, the header has 4"),
    ],
)
def test_a_bad_row_is_named(row: str, words: str) -> None:
    _, wrong = rules.read_batch("x.csv", HEADER + "cus_1,ch_9,5,usd\n" + row + "\n")
    assert len(wrong) == 1 and wrong[0].startswith("row 3: ") and words in wrong[0]


@pytest.mark.parametrize("row", ["ch_1,usd", "ch_1,usd,10,00", "ch_1,usd,1,000"])
def test_a_row_that_was_cut_or_split_refunds_neither_all_nor_a_part(row: str) -> None:
    """Without its amount it would mean all that is left, with a decimal comma a hundredth."""
    assert rules.read_batch("x.csv", f"charge,currency,amount\n{row}\n")[0] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "user,amount\n",
        "charge,amount\n",
        "amount,currency\n",
        'charge,amount,currency\n"',
        "charge,amount,currency,Amount\n",
    ],
)
def test_what_is_no_refund_file_is_refused(text: str) -> None:
    with pytest.raises(BadBatch):
        rules.read_batch("x.csv", text)


def test_nothing_is_to_be_refunded_by_a_file_without_rows() -> None:
    assert rules.read_batch("x.csv", HEADER) == ([], [])


def test_currencies_are_three_letters() -> None:
    assert rules.code_of_currency("EUR") == "eur"
    for wrong in ("", "eu", "euro", "e1r", "ｅｕｒ"):
        with pytest.raises(InvalidParameter):
            rules.code_of_currency(wrong)
