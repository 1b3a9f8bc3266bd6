"""What a quantity of a price costs. Exact in decimals, rounded once, at the end.

Stripe publishes the tiers (https://docs.stripe.com/products-prices/pricing-models#tiered-pricing): `up_to` is
inclusive; graduated counts each unit in its own tier, volume counts all of them in the tier that the quantity
reaches. It does not publish the flat fee at quantity 0: here the first tier's flat fee is always due.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from typing import Any

from stripe_sandbox.currencies import round_minor
from stripe_sandbox.store import Object


def amount_for(price: Object, quantity: Decimal | int) -> int:
    """In minor units."""
    return round_minor(exact_amount(price, Decimal(quantity)))


def exact_amount(price: Object, quantity: Decimal) -> Decimal:
    if price["billing_scheme"] == "tiered":
        by_mode = _volume if price["tiers_mode"] == "volume" else _graduated
        return by_mode(price["_tiers"], quantity)
    return Decimal(price["unit_amount_decimal"]) * packages(price["transform_quantity"], quantity)


def packages(transform: dict[str, Any] | None, quantity: Decimal) -> Decimal:
    """`transform_quantity`: 10 by 3 are 4 when rounded up and 3 when rounded down."""
    if transform is None:
        return quantity
    rounding = ROUND_CEILING if transform["round"] == "up" else ROUND_FLOOR
    return (quantity / transform["divide_by"]).to_integral_value(rounding)


def _volume(tiers: list[dict[str, Any]], quantity: Decimal) -> Decimal:
    tier = next(one for one in tiers if one["up_to"] is None or quantity <= one["up_to"])
    return _flat(tier) + _unit(tier) * quantity


def _graduated(tiers: list[dict[str, Any]], quantity: Decimal) -> Decimal:
    total, below = Decimal(0), Decimal(0)
    for number, tier in enumerate(tiers):
        if quantity <= below and number > 0:
            break
        reached = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        total += _flat(tier) + _unit(tier) * (reached - below)
        below = reached
        if tier["up_to"] is not None and quantity <= tier["up_to"]:
            break
    return total


def _flat(tier: dict[str, Any]) -> Decimal:
    return Decimal(tier["flat_amount_decimal"] or 0)


def _unit(tier: dict[str, Any]) -> Decimal:
    return Decimal(tier["unit_amount_decimal"] or 0)


def share_of(amount: Decimal | Fraction | int, part: int, whole: int) -> int:
    """`amount * part / whole` in whole minor units, half away from zero, in whole numbers throughout."""
    share = Fraction(amount) * part / whole
    rounded = (2 * abs(share.numerator) + share.denominator) // (2 * share.denominator)
    return rounded if share >= 0 else -rounded
