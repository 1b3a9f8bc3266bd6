"""The price of overage. One pure function, `rate`, for previews, invoices and explanations alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

import msgspec

from nself.core.money import decimal, rounded
from nself.domains.catalog.model import Metric, Part, Rated, Tier, Version

T = TypeVar("T", Version, Metric)


def in_force(versions: Iterable[T], day: date) -> T | None:
    """The newest version that began on `day` or before, or None."""
    found = [one for one in versions if one.start is None or one.start <= day]
    return max(found, key=lambda one: one.start or date.min, default=None)


def price_text(version: Version | None) -> str:
    """A price in one line, for people."""
    if version is None:
        return "none"
    tiers = [_tier_text(version, tier) for tier in version.tiers]
    free = [f"{version.free} free"] if version.free else []
    minimum = [f"at least {version.minimum:f} {version.currency}"] if version.minimum else []
    return ", ".join([*free, *tiers, *minimum])


def _tier_text(version: Version, tier: Tier) -> str:
    per = f"package of {version.per}, rounded {version.round or 'up'}" if version.model == "package" else tier.per
    flat = f" + {tier.flat:f}" if tier.flat else ""
    up_to = f" up to {tier.up_to}" if tier.up_to else ""
    return f"{tier.amount:f} {version.currency} / {per}{flat}{up_to}"


def rate(version: Version, units: int) -> Rated:
    """What `units` above the quota cost: the one place where overage gets its price.

    Fractions throughout and one rounding at the end, half away from zero, so that it is exact for any size.
    """
    assert version.currency
    charged = max(0, units - version.free)
    parts = _parts(version, charged) if charged else []
    exact = sum((worth(part) for part in parts), Fraction(0))
    least = Fraction(version.minimum)
    if charged and exact < least:
        parts.append(_up_to_minimum(least - exact))
        exact = least
    return Rated(
        units=units,
        free=min(units, version.free),
        charged_units=charged,
        parts=parts,
        exact=decimal(exact),
        rounding="half up, once",
        amount_minor=rounded(exact, version.currency).minor,
        currency=version.currency,
    )


def _parts(version: Version, charged: int) -> list[Part]:
    if version.model == "package":
        assert version.per
        packages, rest = divmod(charged, version.per)
        packages += bool(rest) and version.round != "down"
        return [_part("package", version.tiers[0], 1, charged, packages, version.per)]
    if version.model == "volume":
        number = next(at for at, tier in enumerate(version.tiers) if tier.up_to is None or charged <= tier.up_to)
        return [_part(f"tier {number + 1} of all", version.tiers[number], 1, charged)]
    found: list[Part] = []
    first = 1
    for number, tier in enumerate(version.tiers, 1):
        if first > charged:
            break
        last = charged if tier.up_to is None else min(charged, tier.up_to)
        found.append(_part(f"tier {number}", tier, first, last))
        first = last + 1
    return found


def _part(what: str, tier: Tier, first: int, last: int, packages: int | None = None, size: int | None = None) -> Part:
    part = Part(
        what=what,
        from_unit=first,
        to_unit=last,
        units=last - first + 1,
        packages=packages,
        amount=tier.amount,
        per=size or tier.per,
        flat=tier.flat,
        exact=Decimal(0),
    )
    return msgspec.structs.replace(part, exact=decimal(worth(part)))


def worth(part: Part) -> Fraction:
    """The exact price of a tier's part in currency units."""
    times = Fraction(part.units, part.per) if part.packages is None else Fraction(part.packages)
    return Fraction(part.amount) * times + Fraction(part.flat)


def _up_to_minimum(rest: Fraction) -> Part:
    zero = Decimal(0)
    return Part(
        what="up to the minimum", from_unit=0, to_unit=0, units=0, amount=zero, per=1, flat=zero, exact=decimal(rest)
    )
