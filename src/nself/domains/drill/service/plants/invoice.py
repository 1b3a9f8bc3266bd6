"""Chapter 4, invoices: drafts, their lines, their tax."""

from __future__ import annotations

from nself.domains.drill.service.bench import Bench, Drill

ERRORS = "nself billing invoice errors --last 24h"
ADD = "nself billing invoice add-item in_123 --price price_123 --quantity 1"
FINALIZE = "nself billing invoice finalize in_123"


def known(bench: Bench, line: str, words: str) -> None:
    """Until what Stripe told has come here: `words` in what `line` prints."""

    def arrived() -> bool:
        return words in bench.nself(line)

    bench.wait(arrived)


def emptied(bench: Bench) -> None:
    """Somebody deletes the items of a draft."""
    for item in ("ii_123", "ii_124"):
        bench.api("DELETE", "invoiceitems", item)
    known(bench, "billing invoice show in_123", "0.00 USD")


def outweighed(bench: Bench) -> None:
    """Somebody adds a credit over the whole draft."""
    credit = {"customer": "cus_123", "invoice": "in_123", "amount": -3750, "currency": "usd", "description": "Goodwill"}
    bench.api("POST", "invoiceitems", **credit)
    known(bench, "billing invoice show in_123", "Goodwill")


def nobody(bench: Bench) -> None:
    """Somebody clears the customer's email address."""
    bench.api("POST", "customers", "cus_123", email="")
    known(bench, "billing customer show cus_123", "email: -")


def no_tax(bench: Bench) -> None:
    """Stripe's tax calculation fails."""
    bench.nself("env set STRIPE_TAX_CALCULATION=automatic")
    failed = {"automatic_tax": {"enabled": True, "status": "failed"}}
    bench.sandbox("POST", "edit", {"kind": "invoice", "id": "in_123", "changes": failed})
    known(bench, ERRORS.removeprefix("nself "), "tax cannot be calculated")


def wrong_price(bench: Bench) -> None:
    """Somebody adds a period of a plan that the customer does not have."""
    bench.nself("billing invoice add-item in_123 --price price_456 --quantity 1")


def not_counted(bench: Bench) -> None:
    """January is invoiced, the invoice is held as a draft, then usage of January comes."""
    record = "billing usage record --user user123 --metric api_calls"
    bench.nself("billing quota set --user user123 --metric api_calls --limit 1000 --mode overage")
    bench.nself(f"{record} --value 101000 --at 2026-01-15T12:00:00Z")
    known(bench, "billing usage show --user user123 --period 2026-01", "102500")
    bench.nself("env set BILLING_QUEUE_PAYMENTS=true")
    bench.nself("billing invoice generate --period 2026-01")
    bench.nself("env unset BILLING_QUEUE_PAYMENTS")
    made = bench.json("billing invoice list --limit 1")[0]["id"]
    bench.nself(f"billing invoice regenerate {made}")
    bench.nself(f"{record} --value 50000 --at 2026-01-16T12:00:00Z")
    known(bench, "billing usage show --user user123 --period 2026-01", "152500")


def wrong_share(bench: Bench) -> None:
    """A rest of ten days is charged with the price of 26."""
    now = bench.sandbox("GET", "clock")["now"]
    details = {"invoice_item": "ii_123", "proration": True, "subscription": "sub_123", "subscription_item": "si_123"}
    changes = {
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_123", "product": "prod_123"},
            "unit_amount_decimal": "2900",
        },
        "parent": {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {**details, "proration_details": {"credited_items": None}},
        },
        "period": {"start": now, "end": now + 10 * 86_400},
    }
    bench.sandbox("POST", "edit", {"kind": "line_item", "id": "li_123", "changes": changes})
    bench.sandbox("POST", "edit", {"kind": "invoice", "id": "in_123", "changes": {"description": "Rest of the period"}})
    known(bench, "billing invoice show in_123 --show-lines", "proration")


def adjusted(bench: Bench) -> None:
    """Somebody raises an amount in the Dashboard."""
    bench.api("POST", "invoiceitems", "ii_123", amount=9900)
    known(bench, "billing invoice show in_123", "99.00 USD")


def untaxed(bench: Bench) -> None:
    """Rates are set, and somebody switches tax off."""
    bench.nself("env set STRIPE_TAX_RATES=txr_123")
    bench.nself("env set STRIPE_TAX_CALCULATION=off")


def nowhere(bench: Bench) -> None:
    """Tax is computed from addresses, and somebody clears the customer's."""
    bench.api("POST", "customers", "cus_123", address="")
    known(bench, "billing customer show cus_123", "address:\n")
    bench.nself("env set STRIPE_TAX_CALCULATION=automatic")
    bench.nself("billing invoice recalculate in_123")


def wrong_id(bench: Bench) -> None:
    """Somebody enters a number that the authority does not know."""
    bench.api("POST", "customers", "cus_123", "tax_ids", type="eu_vat", value="DE111111111")
    known(bench, "billing customer show cus_123", "unverified")


def archived(bench: Bench) -> None:
    """Somebody archives the rate that invoices are taxed by."""
    bench.nself("env set STRIPE_TAX_RATES=txr_123")
    bench.nself("env set STRIPE_TAX_CALCULATION=rates")
    bench.nself("restart billing")
    bench.api("POST", "tax_rates", "txr_123", active="false")
    known(bench, "billing tax show-config", "archived")


def reactivated(bench: Bench) -> None:
    bench.api("POST", "tax_rates", "txr_123", active="true")


AUTOMATIC = "nself env set STRIPE_TAX_CALCULATION=automatic"
RECALCULATE = "nself billing invoice recalculate in_123"
RESTART = "nself restart billing"
ADDRESS = (
    'nself billing customer update cus_123 --address-line1 "123 Main St" --address-city "San Francisco" '
    '--address-state "CA" --address-postal-code "94102" --address-country "US"'
)
SHOW_TAX = "nself billing tax show-config"
NEWEST = "$(nself billing invoice list --status draft --limit 1 | grep -o 'in_[A-Za-z0-9]*' | head -1)"
AUDIT = "nself billing invoice audit in_123"
REMOVE = "nself billing invoice remove-item in_123 --line-item li_123"
CORRECT = "nself billing invoice add-item in_123 --price price_correct --quantity 5"
PAID = ("3.2",)
"""Whose payment was tried is a draft no more, so that neither its lines nor what keeps it from being finalised are seen."""
EMPTY = (*PAID, "4.2.1", "4.2.3", "4.2.4")
"""What has no line, or nothing to pay, has no wrong one."""
DRILLS = (
    Drill(
        "4.1.1",
        plant=emptied,
        shows=((ERRORS, "it has no items"), ("nself billing invoice show in_123", "lines: none")),
        mend=(ADD, FINALIZE),
        apart=EMPTY,
    ),
    Drill(
        "4.1.2",
        plant=outweighed,
        shows=((ERRORS, "its amount is zero"), ("nself billing invoice show in_123", "amount_due_minor: 0 ")),
        mend=(ADD, FINALIZE),
        apart=EMPTY,
    ),
    Drill(
        "4.1.3",
        plant=nobody,
        shows=((ERRORS, "the customer has no email address"),),
        mend=("nself billing customer update cus_123 --email user@example.com", FINALIZE),
        apart=PAID,
    ),
    Drill(
        "4.1.4",
        plant=no_tax,
        shows=((ERRORS, "tax cannot be calculated"),),
        mend=("nself billing invoice regenerate in_123",),
        apart=PAID,
    ),
    Drill(
        "4.2.1",
        plant=wrong_price,
        shows=(("nself billing invoice show-lines in_123", "price_456"),),
        mend=(
            "nself billing invoice remove-item in_123 "
            "--line-item $(nself billing invoice show-lines in_123 | grep price_456 | cut -d' ' -f1)",
            CORRECT,
        ),
        apart=PAID,
    ),
    Drill(
        "4.2.2",
        plant=not_counted,
        shows=((f"nself billing invoice audit {NEWEST}", "counted after its line was made"),),
        mend=(
            'nself billing usage recalculate --user user123 --period "2026-01"',
            f"nself billing invoice update {NEWEST}",
        ),
    ),
    Drill("4.2.3", plant=wrong_share, shows=((AUDIT, "amount of li_123"),), mend=(REMOVE, CORRECT), apart=PAID),
    Drill(
        "4.2.4",
        plant=adjusted,
        shows=((AUDIT, "li_123: changed at Stripe from 25.00 USD to 99.00 USD"),),
        mend=(REMOVE, CORRECT),
        apart=PAID,
    ),
    Drill("4.3.1", plant=untaxed, shows=((SHOW_TAX, "no tax is computed"),), mend=(AUTOMATIC, RECALCULATE, RESTART)),
    Drill(
        "4.3.2",
        plant=nowhere,
        shows=(
            (SHOW_TAX, "customers have no address with a country"),
            ("nself billing invoice show in_123 --show-tax", "requires_location_inputs"),
        ),
        mend=(ADDRESS, RECALCULATE, RESTART),
    ),
    Drill(
        "4.3.3",
        plant=wrong_id,
        shows=(("nself billing customer show cus_123 | grep tax", "unverified"),),
        mend=('nself billing customer set-tax-id cus_123 --type us_ein --value "12-3456789"',),
    ),
    Drill(
        "4.3.4",
        plant=archived,
        shows=((SHOW_TAX, "txr_123 is archived"), ("nself billing tax list-rates", r"txr_123 .* false +US")),
        mend=("nself billing invoice add-tax in_123 --tax-rate txr_123", RECALCULATE, RESTART),
        outside=reactivated,
    ),
)
