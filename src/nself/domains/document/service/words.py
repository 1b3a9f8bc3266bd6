"""How documents speak: the words of a language, and money, days and percents as its region writes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import cast

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import NumberPattern, format_decimal, format_percent

from nself.core.money import exponent
from nself.domains.document.model import Words

FALLBACK = "en"
CJK_FONTS = {"ja": "JP", "ko": "KR", "zh": "SC"}


@cache
def dictionary() -> dict[str, Words]:
    """Language -> words, all with the same keys."""
    return json.loads((Path(__file__).parents[1] / "words.json").read_text(encoding="utf-8"))


def locale(wanted: Iterable[str]) -> Locale:
    """The first of `wanted`, as Stripe writes them (`de-AT`), whose language there are words of."""
    for name in (*wanted, FALLBACK):
        language = name.replace("_", "-").partition("-")[0].lower()
        if language in dictionary():
            return _locale(name.replace("_", "-")) or Locale(language)
    raise AssertionError("there are words of the fallback")


@cache
def _locale(name: str) -> Locale | None:
    try:
        return Locale.parse(name, sep="-")
    except (UnknownLocaleError, ValueError):
        return None


class Speech:
    """One language and region."""

    def __init__(self, found: Locale) -> None:
        self.locale = found
        self.words = dictionary()[found.language]

    @property
    def tag(self) -> str:
        return str(self.locale).replace("_", "-")

    def say(self, word: str, **fields: str) -> str:
        return self.words[word].format(**fields)

    def money(self, minor: int, currency: str) -> str:
        """Every digit that Stripe counts: Babel's own number of them differs for some currencies."""
        digits = exponent(currency)
        return self._priced(Decimal(minor).scaleb(-digits), currency, (digits, digits))

    def price(self, amount: Decimal, currency: str) -> str:
        """A unit price, with as many digits as it has and those of the currency at least."""
        digits = exponent(currency)
        return self._priced(amount, currency, (digits, max(digits, -int(amount.normalize().as_tuple().exponent))))

    def _priced(self, amount: Decimal, currency: str, digits: tuple[int, int]) -> str:
        pattern = copy(cast("NumberPattern", self.locale.currency_formats["standard"]))
        pattern.frac_prec = digits
        return pattern.apply(amount, self.locale, currency=currency.upper(), currency_digits=False)

    def percent(self, percentage: Decimal) -> str:
        return format_percent(percentage.scaleb(-2), locale=self.locale, decimal_quantization=False)

    def number(self, value: Decimal) -> str:
        return format_decimal(value, locale=self.locale, decimal_quantization=False)

    def day(self, day: date) -> str:
        return format_date(day, "medium", locale=self.locale)

    def days(self, first: date | None, last: date | None) -> str:
        """A period by its first and last day."""
        found = [self.day(one) for one in (first, last) if one]
        return " – ".join(dict.fromkeys(found))

    def country(self, code: str) -> str:
        return cast("Mapping[str, str]", self.locale.territories).get(code.upper(), code)

    def fonts(self) -> list[str]:
        """In this order glyphs are looked for."""
        own = CJK_FONTS.get(self.locale.language, "JP")
        return ["Libertinus Serif", *(f"Noto Sans CJK {one}" for one in dict.fromkeys((own, "JP", "SC", "KR")))]
