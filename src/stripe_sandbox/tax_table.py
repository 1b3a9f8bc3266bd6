"""Automatic tax: a small declared table, not a tax engine. Places that are not in it are not taxed.

The rates are those published for 2026 as each place's standard rate; local surcharges are left out. A customer
is located by country and, in the US and Canada, by state or province; in the US a postal code will do for the
states of the table.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Place:
    country: str
    state: str | None
    name: str
    tax_type: str
    percentage: Decimal


def _rate(country: str, tax_type: str, percentage: str, name: str, state: str | None = None) -> Place:
    return Place(country, state, name, tax_type, Decimal(percentage))


PLACES = (
    _rate("US", "sales_tax", "7.25", "California", "CA"),
    _rate("US", "sales_tax", "4", "New York", "NY"),
    _rate("US", "sales_tax", "6.25", "Texas", "TX"),
    _rate("US", "sales_tax", "6.5", "Washington", "WA"),
    _rate("CA", "hst", "13", "Ontario", "ON"),
    _rate("GB", "vat", "20", "United Kingdom"),
    _rate("AT", "vat", "20", "Austria"),
    _rate("BE", "vat", "21", "Belgium"),
    _rate("DE", "vat", "19", "Germany"),
    _rate("ES", "vat", "21", "Spain"),
    _rate("FR", "vat", "20", "France"),
    _rate("IE", "vat", "23", "Ireland"),
    _rate("IT", "vat", "22", "Italy"),
    _rate("NL", "vat", "21", "Netherlands"),
    _rate("CH", "vat", "8.1", "Switzerland"),
    _rate("NO", "vat", "25", "Norway"),
    _rate("AU", "gst", "10", "Australia"),
    _rate("JP", "jct", "10", "Japan"),
)
EUROPEAN_UNION = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split())
DISPLAY_NAMES = {"sales_tax": "Sales Tax", "hst": "HST", "vat": "VAT", "gst": "GST", "jct": "JCT"}

_BY_PLACE = {(place.country, place.state): place for place in PLACES}
# First three digits of postal codes, https://pe.usps.com (publication 65).
_US_POSTAL = {"CA": (900, 961), "NY": (100, 149), "TX": (750, 799), "WA": (980, 994)}


def located(address: dict[str, Any] | None) -> bool:
    """Whether an address is enough to work out a tax."""
    if not address or not address["country"]:
        return False
    if address["country"] == "US":
        return bool(address["state"] or address["postal_code"])
    return bool(address["state"]) if address["country"] == "CA" else True


def place_of(address: dict[str, Any]) -> Place | None:
    country = address["country"]
    state: str | None = None
    if country in ("US", "CA"):
        state = (address["state"] or _state_of_postal_code(address["postal_code"] or "")).upper()
    return _BY_PLACE.get((country, state))


def _state_of_postal_code(code: str) -> str:
    if not code[:3].isdecimal():
        return ""
    return next((state for state, (low, high) in _US_POSTAL.items() if low <= int(code[:3]) <= high), "")
