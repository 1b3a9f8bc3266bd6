"""Money in whole minor units, rates as exact decimals, one rounding per line.

Exponents follow Stripe's list (docs.stripe.com/currencies), which differs from ISO 4217 for some
currencies: ISK and UGX are sent with two decimals, MGA with none.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
MAX_MINOR = 99_999_999  # Stripe refuses larger charges


def exponent(currency: str) -> int:
    """Digits after the point in which Stripe counts `currency` (ISO code, any case)."""
    code = currency.lower()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


class Money(NamedTuple):
    """`minor` whole minor units of `currency` (lower-case ISO code)."""

    minor: int
    currency: str

    def __str__(self) -> str:
        digits = exponent(self.currency)
        sign, whole = ("-" if self.minor < 0 else ""), abs(self.minor)
        if not digits:
            return f"{sign}{whole} {self.currency.upper()}"
        units, rest = divmod(whole, 10**digits)
        return f"{sign}{units}.{rest:0{digits}d} {self.currency.upper()}"


class Rate(NamedTuple):
    """`amount` currency units (dollars, not cents) for each `per` base units of a metric."""

    amount: Decimal
    currency: str
    per: int = 1


def charge(quantity: int, rate: Rate) -> Money:
    """Price of `quantity` base units, rounded once, half away from zero, to a minor unit.

    Integer arithmetic throughout, so that the result is exact for any size.
    """
    numerator, denominator = rate.amount.as_integer_ratio()
    top = quantity * numerator * 10 ** exponent(rate.currency)
    bottom = denominator * rate.per
    magnitude = (2 * abs(top) + bottom) // (2 * bottom)
    return Money(magnitude if top >= 0 else -magnitude, rate.currency)
