"""Who computes tax, and by which rates."""

from __future__ import annotations

import msgspec

from nself.app import App
from nself.domains.catalog import service as catalog
from nself.domains.connection.model import Snapshot
from nself.domains.connection.service import change
from nself.domains.invoice import store
from nself.domains.invoice.inputs import CreateRate, ListRates, Nothing

MOST = 1000


class TaxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `tax show-config`."""

    calculation: str
    origin: str
    default_rates: list[str]
    known_rates: int
    customers_without_address: int
    missing: list[str]


class TaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `tax list-rates`, and the result of `tax create-rate`."""

    id: str
    name: str
    percentage: str
    inclusive: bool
    active: bool
    country: str | None
    state: str | None
    jurisdiction: str | None
    tax_type: str | None


def show_config(app: App, given: Nothing) -> TaxConfig:
    """STRIPE_TAX_CALCULATION with its origin, the default rates, and what is missing for it."""
    value, rates = app.settings.value("STRIPE_TAX_CALCULATION"), catalog.tax_rates(app)
    calculation = app.settings.text("STRIPE_TAX_CALCULATION")
    with app.db.reading() as tx:
        known = {one["id"]: one for one in store.tax_rates(tx, app.settings.live, MOST)}
        nowhere = store.without_address(tx, app.settings.live)
    return TaxConfig(
        calculation=calculation,
        origin=value.origin,
        default_rates=rates,
        known_rates=len(known),
        customers_without_address=nowhere,
        missing=_missing(calculation, rates, known, nowhere),
    )


def _missing(calculation: str, rates: list[str], known: dict[str, Snapshot], nowhere: int) -> list[str]:
    if calculation == "off":
        return ["no tax is computed: nself env set STRIPE_TAX_CALCULATION=automatic"]
    if calculation == "automatic":
        return [f"{nowhere} customers have no address with a country: their invoices stay drafts"] if nowhere else []
    if not rates:
        return ["STRIPE_TAX_RATES names no rate: nself env set STRIPE_TAX_RATES=txr_123"]
    found = [f"{id} is not known here: nself billing sync all --execute" for id in rates if id not in known]
    return found + [f"{id} is archived" for id in rates if id in known and not known[id]["active"]]


def list_rates(app: App, given: ListRates) -> list[TaxRate]:
    """Tax rates of the mirror, oldest first; while it has none, those of Stripe."""
    with app.db.reading() as tx:
        found = store.tax_rates(tx, app.settings.live, given.limit)
    if not found:
        found = app.stripe.page("tax_rate", limit=min(given.limit, 100)).objects[::-1]
    return [_rate(one) for one in found]


def create_rate(app: App, given: CreateRate) -> TaxRate:
    """A rate that `invoice add-tax` and STRIPE_TAX_RATES take. Raises what Stripe refuses."""
    params: Snapshot = {"display_name": given.name, "percentage": given.percentage, "inclusive": given.inclusive}
    params |= {"country": given.country.upper()} if given.country else {}
    params |= {"state": given.state} if given.state else {}
    id = change.change(app, change.once(app, "tax_rate.create"), "tax_rates", params=params)
    return _rate(app.stripe.fetch("tax_rate", id))


def _rate(one: Snapshot) -> TaxRate:
    return TaxRate(
        id=one["id"],
        name=one["display_name"],
        percentage=str(one["percentage"]),
        inclusive=one["inclusive"],
        active=one["active"],
        country=one.get("country"),
        state=one.get("state"),
        jurisdiction=one.get("jurisdiction"),
        tax_type=one.get("tax_type"),
    )
