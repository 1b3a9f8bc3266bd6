"""The rules of wrong charges, against a slow model that looks at all charges again for each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.domains.audit.inputs import AuditCharges
from nself.domains.audit.model import Charge, Suspect
from nself.domains.audit.rules import suspects
from nself.domains.audit.service.charges import Tally, totals

START = datetime(2026, 1, 30, tzinfo=UTC)
EARLY = START - timedelta(days=400)


def charge(id: str = "ch_1", hours: float = 0, amount: int = 1000, **more: object) -> Charge:
    fields: dict[str, object] = {
        "customer": "cus_1", "user": "user1", "payment_intent": f"pi_{id}", "refunded": 0, "currency": "usd", "disputed": False,
        "invoice": None, "due": None, "overage": 0, "ordered": True, **more,
    }  # fmt: skip
    return Charge(id=id, amount=amount, created_at=START + timedelta(hours=hours), **fields)  # type: ignore[arg-type]


def judged(*charges: Charge, since: datetime = EARLY, cap: int = 0) -> list[tuple[str, str, int, str]]:
    found = suspects(charges, since, {"usd": cap})
    return [(one.charge, one.reason, one.amount, one.status) for one in found]


@pytest.mark.parametrize(
    ("charges", "wanted"),
    [
        ([charge("a"), charge("b", 23.9)], [("b", "duplicate", 1000, "suspicious")]),
        ([charge("a"), charge("b", 24)], []),
        ([charge("a"), charge("b", 1), charge("c", 2)], [("b", "duplicate", 1000, "suspicious"), ("c", "duplicate", 1000, "suspicious")]),
        ([charge("a"), charge("b", 1, currency="eur")], []),
        ([charge("a"), charge("b", 1, amount=1001)], []),
        ([charge("a"), charge("b", 1, customer="cus_2")], []),
        ([charge("a", customer=None), charge("b", 1, customer=None)], []),
        ([charge("a", refunded=1000), charge("b", 1)], []),
        ([charge("a"), charge("b", 1, refunded=300)], [("b", "duplicate", 700, "suspicious")]),
        ([charge("a"), charge("b", 1, refunded=1000)], [("b", "duplicate", 0, "refunded")]),
        ([charge("a"), charge("b", 1, disputed=True)], [("b", "duplicate", 0, "disputed")]),
        # two purchases with an invoice each are two purchases; one of them without is the other again
        ([charge("a", invoice="in_1", due=1000), charge("b", 1, invoice="in_2", due=1000)], []),
        ([charge("a", invoice="in_1", due=1000), charge("b", 1)], [("b", "duplicate", 1000, "suspicious")]),
        # an invoice that is paid in two equal parts is paid once; three parts are one too many, however late
        ([charge("a", invoice="in_1", due=2000), charge("b", 1, invoice="in_1", due=2000)], []),
        ([charge("a", invoice="in_1", due=2000), charge("b", 1, invoice="in_1", due=2000), charge("c", 99, invoice="in_1", due=2000)],
         [("c", "duplicate", 1000, "suspicious")]),
        ([charge("a", amount=900, invoice="in_1", due=500)], [("a", "over_invoice", 400, "suspicious")]),
        ([charge("a", amount=400, invoice="in_1", due=500), charge("b", 1, amount=300, invoice="in_1", due=500)],
         [("b", "over_invoice", 200, "suspicious")]),
        ([charge("a", refunded=1000, invoice="in_1", due=1000), charge("b", 1, invoice="in_1", due=1000)], []),
        ([charge("a", ordered=False)], [("a", "no_invoice", 0, "review")]),
        ([charge("a", ordered=False, refunded=1000)], [("a", "no_invoice", 0, "refunded")]),
        ([charge(str(n), 48 * n, amount=100) for n in range(3)] + [charge("x", 200, amount=301)], [("x", "jump", 0, "review")]),
        ([charge(str(n), 48 * n, amount=100) for n in range(3)] + [charge("x", 200, amount=300)], []),
        ([charge(str(n), 48 * n, amount=100) for n in range(2)] + [charge("x", 200, amount=9999)], []),
    ],
)  # fmt: skip
def test_each_rule_says_what_was_too_much(charges: list[Charge], wanted: list[tuple[str, str, int, str]]) -> None:
    assert judged(*charges) == wanted


def test_what_is_open_and_what_was_given_back_are_summed_apart() -> None:
    charges = [charge("a"), charge("b", 1, refunded=300), charge("c", 2, refunded=1000), charge("d", 3, ordered=False)]
    tally = Tally()
    rows = tally.watch(AuditCharges(since="24h", status="suspicious"), (one for one in suspects(charges, EARLY, {})))
    assert [(one.charge, one.amount, one.refunded) for one in rows] == [("b", 700, 300), ("d", 1000, 0)]
    assert (totals(tally.open), totals(tally.refunded)) == (["17.00 USD"], ["13.00 USD"])
    assert "2 charges took too much: 17.00 USD (13.00 USD was given back)" in tally.notes("suspicious")


def test_overage_above_the_cap_is_too_much() -> None:
    one = charge("a", amount=900, invoice="in_1", due=900, overage=800)
    assert judged(one, cap=500) == [("a", "over_cap", 300, "suspicious")]
    assert judged(one, cap=800) == judged(one) == []


def test_what_is_above_the_cap_is_too_much_once_however_it_was_paid() -> None:
    def part(id: str, hours: float, **more: object) -> Charge:
        return charge(id, hours, invoice="in_1", **({"amount": 400, "due": 800, "overage": 800} | more))

    assert judged(part("a", 0), part("b", 1), cap=500) == [("a", "over_cap", 300, "suspicious")]
    assert judged(part("a", 0), part("b", 1), cap=200) == [
        ("a", "over_cap", 400, "suspicious"),
        ("b", "over_cap", 200, "suspicious"),
    ]
    whole = {"amount": 800}
    assert judged(part("a", 0, refunded=800, **whole), part("b", 1, **whole), cap=500) == [
        ("a", "over_cap", 0, "refunded"),
        ("b", "over_cap", 300, "suspicious"),
    ]


def test_what_was_before_counts_but_is_not_told() -> None:
    first, second = charge("a", -1), charge("b", 1)
    assert judged(first, second, charge("c", 2), since=START + timedelta(hours=2)) == [
        ("c", "duplicate", 1000, "suspicious")
    ]
    assert judged(first, second, since=START) == [("b", "duplicate", 1000, "suspicious")]


@st.composite
def histories(draw: st.DrawFn) -> list[Charge]:
    """Customer by customer in the order of time; few amounts and invoices, so that they meet."""
    found: list[Charge] = []
    for customer in draw(st.sets(st.sampled_from(["cus_1", "cus_2"]), min_size=1)):
        hours = sorted(draw(st.lists(st.integers(0, 60), max_size=8)))
        for at, hour in enumerate(hours):
            invoice = draw(st.sampled_from([None, None, "in_1", "in_2"]))
            amount = draw(st.sampled_from([100, 100, 200, 1000]))
            found.append(
                charge(
                    f"{customer}_{at}", hour, amount, customer=customer, invoice=invoice and f"{customer}_{invoice}",
                    due={"in_1": 100, "in_2": 300}.get(invoice or ""), refunded=draw(st.sampled_from([0, 0, 0, amount, amount // 2])),
                    currency="usd" if invoice else draw(st.sampled_from(["usd", "eur"])), ordered=draw(st.booleans()),
                )
            )  # fmt: skip
    return found


def model(charges: list[Charge]) -> dict[str, tuple[set[str], int]]:
    """Reasons of each charge and what is to be given back, by looking at everything again and again."""
    copies: list[str] = []
    found: dict[str, tuple[set[str], int]] = {}
    for at, one in enumerate(charges):
        mine = [other for other in charges[:at] if other.customer == one.customer]
        reasons, amounts = set[str](), [0]
        same_invoice = [other for other in mine if one.invoice and other.invoice == one.invoice]
        if one.invoice and one.due is not None:
            over = sum(other.amount - other.refunded for other in same_invoice) + one.amount - one.due
            if over > 0:
                twice = over >= one.amount and one.amount in [other.amount for other in same_invoice]
                reasons.add("duplicate" if twice else "over_invoice")
                amounts.append(min(over, one.amount))
        originals = [other for other in mine if other.id not in copies and other.currency == one.currency]
        if "duplicate" not in reasons and any(
            other.amount == one.amount
            and other.refunded < other.amount
            and (one.created_at - other.created_at).total_seconds() < 86_400
            and None in (one.invoice, other.invoice)
            for other in originals
        ):
            reasons.add("duplicate")
            amounts.append(one.amount)
        if "duplicate" in reasons:
            copies.append(one.id)
        else:
            if len(originals) >= 3 and one.amount * len(originals) > 3 * sum(other.amount for other in originals):
                reasons.add("jump")
            if one.invoice is None and not one.ordered:
                reasons.add("no_invoice")
        if reasons:
            found[one.id] = reasons, max(0, max(amounts) - one.refunded)
    return found


@given(histories())
def test_the_stream_says_what_the_model_says(charges: list[Charge]) -> None:
    told: list[Suspect] = list(suspects(charges, EARLY, {}))
    wanted = model(charges)
    assert {one.charge: one.amount for one in told} == {id: amount for id, (_, amount) in wanted.items()}
    for one in told:
        assert one.reason in wanted[one.charge][0]
        assert one.status != "suspicious" or one.amount > 0


@given(st.integers(1, 6), st.integers(2, 5), st.booleans())
def test_of_equal_charges_all_but_the_first_are_duplicates(gap: int, count: int, invoiced: bool) -> None:
    more = {"invoice": "in_1", "due": 1000} if invoiced else {}
    charges = [charge(str(at), at * min(gap, 4), **more) for at in range(count)]
    assert [one.charge for one in suspects(charges, EARLY, {})] == [str(at) for at in range(1, count)]
