"""The guide's section 5.4 as it is typed: real commands, each a process of its own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from money_bench import AT, Bench

NSELF = Path(sys.executable).with_name("nself")


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def nself(bench: Bench, line: str) -> Ran:
    done = subprocess.run(
        [NSELF, *shlex.split(line)],
        cwd=bench.folder,
        env={**os.environ, **bench.environ()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def user123(bench: Bench) -> Bench:
    """Invoiced for January, above the quota this month."""
    app = bench.app()
    bench.use(app, "user123", 120, at=AT)
    bench.create(app, "user123")
    bench.bill(app)
    nself(bench, "billing usage record --user user123 --metric api_calls --value 1300")
    nself(bench, "billing quota set --user user123 --metric api_calls --limit 1000 --period month --mode overage")
    return bench


def test_the_guides_section_on_overage(user123: Bench) -> None:
    def said(line: str) -> str:
        ran = nself(user123, line)
        assert ran.code == 0, ran
        return ran.out

    shown = said("billing quota show-overage --user user123")
    assert "api_calls" in shown and "300 x 0.05 = 15" in shown and "1500 (15.00 USD)" in shown
    assert "0.05 usd / 1" in said("billing price show --type overage")
    calculated = said("billing quota calculate-overage --user user123 --actual-usage 1500 --quota-limit 1000")
    assert "overage: 500" in calculated and "2500 (25.00 USD)" in calculated and "difference_minor: 1000" in calculated
    at_rate = said("billing quota calculate-overage --user user123 --actual-usage 1500 --quota-limit 1000 --rate 0.10")
    assert "5000 (50.00 USD)" in at_rate
    assert "the period is not over yet" in said("billing overage audit --user user123")
    assert "unchanged" in said("billing overage recalculate --user user123")
    updated = said("billing overage update --user user123 --usage 1500 --quota 1000 --rate 0.10")
    assert "before_minor: 1500 (15.00 USD)" in updated and "after_minor: 5000 (50.00 USD)" in updated
    assert "5000 (50.00 USD)" in said("billing quota show-overage --user user123")
    invoice = said("billing invoice show --user user123 --show-overage")
    assert "total_minor: 500 (5.00 USD)" in invoice and "100 x 0.05 = 5" in invoice
    id = json.loads(said("billing invoice show --user user123 --format json"))["id"]
    explained = said(f"billing invoice explain {id} --line 1")
    assert "120 used - 20 included = 100 request" in explained and "2026-01-15T10:00:00Z  120" in explained
    assert "flat" in said("billing usage list-metrics")


def test_a_price_of_stripe_is_shown_with_tiers_and_amounts(user123: Bench) -> None:
    user123.sandbox.post("/v1/products", name="Calls", id="prod_calls")
    made = user123.sandbox.post(
        "/v1/prices",
        product="prod_calls",
        currency="jpy",
        billing_scheme="tiered",
        tiers_mode="volume",
        tiers=[{"up_to": 100, "unit_amount_decimal": "0.5"}, {"up_to": "inf", "unit_amount": 3, "flat_amount": 700}],
        recurring={"interval": "month"},
    )
    shown = json.loads(nself(user123, f"billing price show {made['id']} --format json").out)
    assert (shown["currency"], shown["tiers_mode"], shown["interval"]) == ("jpy", "volume", "month")
    assert shown["tiers"] == [
        {"up_to": 100, "amount": "0.5", "flat": "0"},
        {"up_to": None, "amount": "3", "flat": "700"},
    ]
    assert "trial_period_days" in nself(user123, f"billing price show {made['id']}").out


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("billing price show price_nope", 1, "No such price: price_nope"),
        ("billing price show", 2, "Missing required parameter: price"),
        ("billing quota show-overage --user nobody", 1, "No such user: nobody"),
        ("billing overage update --user user123 --usage 1.5 --quota 1 --rate 1", 2, "Invalid integer: 1.5"),
        ("billing overage update --user user123 --usage 1 --quota 1 --rate lots", 2, "Invalid decimal: lots"),
        ("billing overage update --user user123 --usage 1 --quota 1 --rate -1", 2, "Invalid rate: -1"),
        ("billing overage audit --user user123 --period 2026", 2, "Invalid period: 2026"),
        ("billing invoice explain in_nope", 1, "No such invoice: in_nope"),
    ],
)
def test_what_is_wrong_is_said_with_the_exit_code(bench: Bench, line: str, code: int, words: str) -> None:
    bench.use(bench.app(), "user123", 1, at=AT)
    ran = nself(bench, line)
    assert (ran.code, words in ran.err) == (code, True), ran
