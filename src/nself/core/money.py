"""Money in whole minor units; what is exact is a fraction, rounded once per line.

Exponents follow Stripe's list (docs.stripe.com/currencies), which differs from ISO 4217 for some
currencies: ISK and UGX are sent with two decimals, which must be 00, MGA with none; of three decimals the last must be 0.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
NO_FRACTIONS = frozenset({"isk", "ugx"})
MAX_MINOR = 99_999_999  # Stripe refuses larger charges


def exponent(currency: str) -> int:
    """Digits after the point in which Stripe counts `currency` (ISO code, any case)."""
    code = currency.lower()
    return 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2


def smallest(currency: str) -> int:
    """Minor units of which a charge is a multiple; Stripe refuses others."""
    code = currency.lower()
    return 100 if code in NO_FRACTIONS else 10 if code in THREE_DECIMAL else 1


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


DISPLAY_DIGITS = 20


def rounded(exact: Fraction, currency: str) -> Money:
    """`exact` currency units in minor units that can be charged, rounded half away from zero: the one rounding of a line."""
    step = smallest(currency)
    top, bottom = exact.numerator * 10 ** exponent(currency), exact.denominator * step
    magnitude = (2 * abs(top) + bottom) // (2 * bottom) * step
    return Money(magnitude if top >= 0 else -magnitude, currency)


def decimal(exact: Fraction) -> Decimal:
    """`exact` written with a point, for showing. What never ends, such as 1/3, is cut after 20 digits behind it."""
    rest, digits = exact.denominator, 0
    for prime in (2, 5):
        count = 0
        while rest % prime == 0:
            rest, count = rest // prime, count + 1
        digits = max(digits, count)
    if rest > 1:
        digits = DISPLAY_DIGITS
    shifted = abs(exact.numerator) * 10**digits // exact.denominator
    sign = 1 if exact < 0 else 0
    return Decimal((sign, tuple(map(int, str(shifted))), -digits))
