"""Money: Stripe's currencies, its minimum charges, and the one rounding rule of the sandbox."""

from decimal import ROUND_HALF_UP, Decimal


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


CURRENCIES = _codes(
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad"
    " cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl"
    " hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga"
    " mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron"
    " rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs"
    " vnd vuv wst xaf xcd xof xpf yer zar zmw"
)
ZERO_DECIMAL = _codes("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf")
THREE_DECIMAL = _codes("bhd jod kwd omr tnd")

LARGEST_AMOUNT = 99_999_999

# Published minimum charges in minor units. Stripe publishes none for the other currencies, so they have none here.
MINIMUM_CHARGE = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500, "dkk": 250,
    "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300,
    "nzd": 50, "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip

_SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "aud": "A$", "cad": "C$", "nzd": "NZ$"}


def minimum_charge(currency: str) -> int:
    return MINIMUM_CHARGE.get(currency, 1)


def round_minor(amount: Decimal) -> int:
    """Half away from zero. Stripe does not publish its half-cent rule; this is ours, in one place."""
    return int(amount.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def display(amount: int, currency: str) -> str:
    """`$0.50 usd`, as Stripe's messages print amounts."""
    places = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    return f"{_SYMBOLS.get(currency, '')}{Decimal(amount).scaleb(-places):,.{places}f} {currency}"


def plain(number: Decimal) -> str:
    """A decimal as Stripe prints it: no exponent, no trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
