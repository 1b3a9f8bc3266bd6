"""What seeds ask for against what stands, the shipped files, and data made by chance. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from nself.domains.seed.formulas import digest
from nself.domains.seed.model import (
    KINDS,
    KindStatus,
    LastRun,
    SeedCustomer,
    SeedInvoice,
    SeedLine,
    SeedSubscription,
    Standing,
    Wanted,
)

Entry = SeedCustomer | SeedSubscription | SeedInvoice
DEFAULTS = {
    "customers.yml": """\
# Customers of test mode that `nself billing seed run` makes. Also as JSON; customers-*.yml are read, too.
# key: their name in these files. user: the app's user, seed-KEY where it is left out.
# payment_method: one of Stripe's test cards (pm_card_visa, pm_card_chargeCustomerFail, ...). country: two letters.
- {key: alice, email: alice@seed.example.com, name: Alice Example, payment_method: pm_card_visa, country: US}
- {key: bob, email: bob@seed.example.com, name: Bob Example, payment_method: pm_card_mastercard, country: DE}
- {key: carol, email: carol@seed.example.com, name: Carol Example}
""",
    "subscriptions.yml": """\
# Subscriptions of these customers: either `price` of Stripe, or `plan` and `amount` in minor units a period.
# Also: currency, interval (month), quantity, trial_days.
- {key: alice-pro, customer: alice, plan: pro, amount: 9900}
- {key: bob-starter, customer: bob, plan: starter, amount: 2900, trial_days: 14}
""",
    "invoices.yml": """\
# Invoices of these customers; amounts in minor units. status: draft, open, paid or void; currency where it is another.
- {key: alice-setup, customer: alice, status: paid, lines: [{description: Setup, amount: 5000}]}
- {key: bob-training, customer: bob, status: open, lines: [{description: Training, amount: 12000}]}
- {key: carol-draft, customer: carol, status: draft, lines: [{description: Support, amount: 2500}]}
""",
}


def only(wanted: Wanted, *kinds: str) -> Wanted:
    """Those kinds, with the customers that they need."""
    chosen = Wanted(
        subscriptions=wanted.subscriptions if "subscriptions" in kinds else [],
        invoices=wanted.invoices if "invoices" in kinds else [],
    )
    named = {one.customer for one in (*chosen.subscriptions, *chosen.invoices)}
    return msgspec.structs.replace(
        chosen, customers=[one for one in wanted.customers if "customers" in kinds or one.key in named]
    )


def entries(wanted: Wanted) -> dict[str, dict[str, str]]:
    """Kind -> key -> digest of what is asked for."""
    return {kind: {one.key: digest(one) for one in cast("list[Entry]", getattr(wanted, kind))} for kind in KINDS}


# ---- What stands against what is asked for ----


def compare(wanted: Wanted, standing: Sequence[Standing]) -> tuple[list[KindStatus], list[str], list[str]]:
    """Figures a kind, differences in words, and keys that stand twice."""
    rows, differences, twice = list[KindStatus](), list[str](), list[str]()
    statuses = {one.key: one.status for one in wanted.invoices}
    for kind, asked in entries(wanted).items():
        there = [one for one in standing if one.kind == kind]
        keys = Counter(one.key for one in there)
        twice += [f"{kind} {key}: {count} times" for key, count in keys.items() if count > 1]
        differing = [one for one in there if one.key in asked and differs(one, asked[one.key], statuses)]
        differences += [f"{one.kind} {one.key} ({one.id}): {_how(one, asked, statuses)}" for one in differing]
        rows.append(
            KindStatus(
                kind=kind,
                wanted=len(asked),
                there=len(keys.keys() & asked.keys()),
                missing=len(asked.keys() - keys.keys()),
                differing=len(differing),
                others=sum(count for key, count in keys.items() if key not in asked),
            )
        )
    return rows, differences, twice


def differs(one: Standing, asked: str, statuses: Mapping[str, str]) -> bool:
    return one.digest != asked or (one.kind == "invoices" and one.status != statuses[one.key])


def _how(one: Standing, asked: Mapping[str, str], statuses: Mapping[str, str]) -> str:
    changed = one.digest != asked[one.key]
    return "the file was changed since it was made" if changed else f"is {one.status}, {statuses[one.key]} is asked for"


def last_run(last: LastRun | None) -> str:
    if last is None:
        return ""
    end = "did not end: it runs, or it was killed" if last.ended_at is None else f"{len(last.errors)} errors"
    return f"{last.what} at {last.started_at:%Y-%m-%dT%H:%M:%SZ}, {end}"


# ---- Test data ----

FIRST = "Ada Ben Cleo Dan Eva Finn Gina Hugo Ida Jan Kim Leo Mia Noah Ola Pia Quinn Rosa Sam Tom".split()
LAST = "Adler Brook Cruz Dietz Evans Fox Garcia Huber Ito Jones Kaya Lopez Moser Novak Otto Peng Quist Roth Silva Weber".split()
COUNTRIES = ("US", "DE", "FR", "GB", "JP")
CARDS = ("pm_card_visa", "pm_card_mastercard", "pm_card_amex")
PLANS = (("starter", 2900), ("pro", 9900), ("enterprise", 49900))
WORK = ("Consulting", "Training", "Setup", "Support", "Migration")


def test_data(seed: int, customers: int, subscriptions: int, invoices: int) -> Wanted:
    """By chance, the same for the same numbers; whoever is named is among the customers."""
    draw = random.Random(f"{seed} {customers} {subscriptions} {invoices}")
    mark = f"test-{seed}-{customers}-{subscriptions}-{invoices}"
    people = [_person(draw, f"{mark}-c{n}") for n in range(1, customers + 1)]
    plans = [(draw.choice(people).key, *draw.choice(PLANS)) for _ in range(subscriptions)]
    return Wanted(
        customers=people,
        subscriptions=[
            SeedSubscription(key=f"{mark}-s{n}", customer=owner, plan=cast(Any, plan), amount=amount)
            for n, (owner, plan, amount) in enumerate(plans, 1)
        ],
        invoices=[
            SeedInvoice(
                key=f"{mark}-i{n}",
                customer=draw.choice(people).key,
                lines=[
                    SeedLine(description=draw.choice(WORK), amount=draw.randrange(500, 50_000))
                    for _ in range(draw.randint(1, 3))
                ],
                status=draw.choices(("paid", "open", "draft"), (6, 2, 1))[0],
            )
            for n in range(1, invoices + 1)
        ],
    )


test_data.__test__ = False  # type: ignore[attr-defined]


def _person(draw: random.Random, key: str) -> SeedCustomer:
    name = f"{draw.choice(FIRST)} {draw.choice(LAST)}"
    return SeedCustomer(
        key=key,
        user=key,
        email=f"{key}@test.example.com",
        name=name,
        payment_method=draw.choice(CARDS),
        country=draw.choice(COUNTRIES),
    )
