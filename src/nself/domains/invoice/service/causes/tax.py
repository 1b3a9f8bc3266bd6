"""Root causes of issue 4.3: invoices with a wrong tax, or none."""

from __future__ import annotations

from datetime import timedelta

from nself.app import App
from nself.diagnosis import Cause, Evidence, Look
from nself.domains.catalog import service as catalog
from nself.domains.invoice import store
from nself.domains.invoice.service.causes.generation import first, held
from nself.domains.mirror import service as mirror

CALCULATION, RATES = "STRIPE_TAX_CALCULATION", "STRIPE_TAX_RATES"
TAXED = timedelta(days=90)
MOST = 100


def switched_off(look: Look) -> Evidence | None:
    """Nobody who never taxed anything is told."""
    app = look.app
    if app.settings.text(CALCULATION) != "off":
        return None
    if rates := catalog.tax_rates(app):
        return Evidence(f"{CALCULATION} is off although {RATES} names {', '.join(rates)}")
    with app.db.reading() as tx:
        found = store.untaxed_drafts(tx, app.settings.live, app.clock() - TAXED, MOST)
    if not found:
        return None
    text = f"{CALCULATION} is off and {len(found)} drafts have no tax, {found[0]} among them, whose customers were taxed before"
    return Evidence(text, {"invoice": found[0]}, "likely")


def no_address(look: Look) -> Evidence | None:
    found = [one for one in look.once(held) if one.tax == "requires_location_inputs" and not one.located]
    return first(found, "cannot be taxed: the customer has no address")


def unverified(app: App) -> list[str]:
    with app.db.reading() as tx:
        return store.unverified_customers(tx, app.settings.live, MOST)


def wrong_id(look: Look) -> Evidence | None:
    found = look.once(unverified)
    if not found:
        return None
    more = f", and {len(found) - 1} more customers have such a one" if found[1:] else ""
    return Evidence(f"the tax id of {found[0]} is not known to its authority{more}", {"customer": found[0]})


def bad_rate(look: Look) -> Evidence | None:
    app, rates = look.app, catalog.tax_rates(look.app)
    if app.settings.text(CALCULATION) != "rates":
        return None
    if not rates:
        return Evidence(f"{CALCULATION} is rates and {RATES} names none")
    with app.db.reading() as tx:
        known = mirror.stored(tx, "tax_rate", rates)
    archived = [id for id in rates if id in known and not known[id].snapshot.get("active")]
    unknown = [id for id in rates if id not in known]
    if archived:
        return Evidence(f"{RATES} names {', '.join(archived)}, which is archived at Stripe", {"rate": archived[0]})
    text = f"{RATES} names {', '.join(unknown)}, which is not known here"
    return Evidence(text, {"rate": unknown[0]}, "likely") if unknown else None


CAUSES = (
    Cause(
        id="4.3.1",
        title="Tax calculation disabled",
        detect=switched_off,
        explain=(
            "Nobody computes tax, so invoices made now have none, although tax rates are set or the same customers were taxed "
            "before. An invoice that Stripe shall tax and cannot is 4.3.2 or 4.1.4."
        ),
        mend=(
            "nself env set STRIPE_TAX_CALCULATION=automatic",
            "nself billing invoice list --status draft",
            "nself restart billing",
        ),
    ),
    Cause(
        id="4.3.2",
        title="Missing customer address",
        detect=no_address,
        explain=(
            "Stripe computes the tax of this draft from the customer's address, and there is none: the draft has no tax and "
            "cannot be finalised. With an address that Stripe does not recognise it is 4.1.4."
        ),
        mend=(
            "nself billing customer update {customer} --address-postal-code 94102 --address-country US",
            "nself billing invoice recalculate {invoice}",
        ),
    ),
    Cause(
        id="4.3.3",
        title="Wrong tax ID",
        detect=wrong_id,
        explain=(
            "The authority that Stripe asked knows no such number. The customer is taxed as somebody without one, and the number "
            "on the invoice is of no use. A number that waits for an answer, or that no authority verifies, is no finding."
        ),
        mend=('nself billing customer set-tax-id {customer} --type us_ein --value "12-3456789"',),
    ),
    Cause(
        id="4.3.4",
        title="Invalid tax rate",
        detect=bad_rate,
        explain=(
            "Invoices are taxed by the rates of STRIPE_TAX_RATES, and one of them was archived at Stripe or does not exist: Stripe "
            "refuses it on new invoices. With calculation switched off altogether it is 4.3.1."
        ),
        mend=(
            "nself billing tax list-rates",
            "nself env set STRIPE_TAX_CALCULATION=automatic",
            "nself restart billing",
        ),
        elsewhere="In Stripe's Dashboard the rate can be made active again.",
    ),
)
