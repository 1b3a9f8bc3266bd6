"""Pure: test cards, what a decline means, what may be taken and given back.

A card number exists here only as an argument: what comes out is a token that Stripe publishes beside it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, cast

from nself.core.errors import InvalidInteger, InvalidParameter
from nself.core.money import MAX_MINOR, Money, exponent
from nself.domains.connection.rules import items, part
from nself.domains.mirror.model import Snapshot
from nself.domains.payment.errors import (
    AmountUnconfirmed,
    BadBatch,
    CardsInTestModeOnly,
    IncorrectNumber,
    InvalidCvc,
    InvalidExpiryMonth,
    InvalidExpiryYear,
    NotATestCard,
)
from nself.domains.payment.model import TEST_CARDS, Asked, Kept, ListedMethod, Meaning, ShownMethod

# ---- Test cards ----

FOUR_DIGITS = "pm_card_amex"


def token(number: str, live: bool) -> str:
    """The token that stands for a test card. Raises CardsInTestModeOnly, IncorrectNumber, NotATestCard; none repeats a digit."""
    if live:
        raise CardsInTestModeOnly
    digits = re.sub(r"[ -]", "", number)
    if not re.fullmatch(r"\d{12,19}", digits, re.ASCII):
        raise IncorrectNumber
    found = TEST_CARDS.get(digits)
    if found is None:
        raise NotATestCard
    return found


def expiry(month: str, year: str, today: date) -> tuple[int, int]:
    """Month and year (`27` is 2027) of a card that has not expired. Raises InvalidExpiryMonth, InvalidExpiryYear."""
    if not re.fullmatch(r"0?[1-9]|1[0-2]", month.strip(), re.ASCII):
        raise InvalidExpiryMonth
    if not re.fullmatch(r"\d{2}|\d{4}", year.strip(), re.ASCII):
        raise InvalidExpiryYear
    when = int(month), int(year) + (2000 if len(year.strip()) == 2 else 0)
    if expired(*when, today) or when[1] > today.year + 50:
        raise InvalidExpiryYear
    return when


def month_and_year(text: str) -> tuple[str, str]:
    """`12/27`. Raises InvalidExpiryMonth."""
    month, slash, year = text.partition("/")
    if not slash:
        raise InvalidExpiryMonth
    return month, year


def check_cvc(text: str, card: str) -> None:
    """Raises InvalidCvc."""
    digits = 4 if card == FOUR_DIGITS else 3
    if not re.fullmatch(rf"\d{{{digits}}}", text.strip(), re.ASCII):
        raise InvalidCvc(digits=digits)


def expired(month: int, year: int, today: date) -> bool:
    """A card is good to the last day of its month."""
    return (year, month) < (today.year, today.month)


# ---- Payment methods ----


def instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def expires(method: Snapshot) -> str | None:
    card = part(method, "card")
    return f"{card['exp_year']}-{card['exp_month']:02}" if card else None


def _expired(method: Snapshot, today: date) -> bool:
    card = part(method, "card")
    return bool(card) and expired(card["exp_month"], card["exp_year"], today)


def listed(kept: Kept, today: date) -> ListedMethod:
    one, card = kept.snapshot, part(kept.snapshot, "card")
    return ListedMethod(
        id=kept.id,
        customer=one.get("customer"),
        user=kept.user,
        type=one["type"],
        brand=card.get("brand"),
        last4=card.get("last4"),
        expires=expires(one),
        default=kept.default,
        expired=_expired(one, today),
        created_at=instant(one["created"]),
    )


def shown(kept: Kept, today: date) -> ShownMethod:
    one, card = kept.snapshot, part(kept.snapshot, "card")
    checks = part(card, "checks")
    return ShownMethod(
        id=kept.id,
        type=one["type"],
        brand=card.get("brand"),
        last4=card.get("last4"),
        exp_month=card.get("exp_month"),
        exp_year=card.get("exp_year"),
        expired=_expired(one, today),
        funding=card.get("funding"),
        country=card.get("country"),
        cvc_check=checks.get("cvc_check"),
        address_line1_check=checks.get("address_line1_check"),
        address_postal_code_check=checks.get("address_postal_code_check"),
        customer=one.get("customer"),
        user=kept.user,
        default=kept.default,
        livemode=bool(one.get("livemode")),
        created_at=instant(one["created"]),
        source=kept.source,
        synced_at=kept.synced_at,
    )


# ---- Declines ----

_OTHER = "another payment method"
_UNKNOWN = Meaning(
    "Declined", "The bank gave no reason that it shares.", f"The customer asks the bank, or uses {_OTHER}."
)
_AUTHENTICATION = Meaning(
    "Authentication required", "The bank wants the customer to confirm the payment (3-D Secure).",
    "The customer pays on session: the client secret goes to Stripe.js.",
)  # fmt: skip
MEANINGS = {
    "insufficient_funds": Meaning(
        "Insufficient funds", "The account behind the card cannot cover the amount.",
        f"Try again in some days, or use {_OTHER}.", True,
    ),
    "expired_card": Meaning("Card expired", "The card is past its expiry date.", f"The customer adds {_OTHER}."),
    "incorrect_cvc": Meaning("Incorrect CVC", "The security code is not the card's.", "The customer enters the card anew."),
    "incorrect_number": Meaning("Incorrect number", "There is no such card number.", "The customer enters the card anew."),
    "authentication_required": _AUTHENTICATION,
    "payment_intent_authentication_failure": Meaning(
        "Authentication failed", "The customer did not confirm the payment (3-D Secure).",
        f"The customer tries again, or uses {_OTHER}.",
    ),
    "processing_error": Meaning(
        "Processing error", "Something broke on the way to the bank; the card is not at fault.", "Try again.", True
    ),
    "try_again_later": Meaning("Try again later", "The bank could not decide now.", "Try again.", True),
    "card_velocity_exceeded": Meaning(
        "Too often", "The card was used too often or above its limit of late.", f"Wait some days, or use {_OTHER}.", True
    ),
    "lost_card": Meaning("Lost card", "The card was reported lost.", f"The customer uses {_OTHER}. Do not tell the reason."),
    "stolen_card": Meaning("Stolen card", "The card was reported stolen.", f"The customer uses {_OTHER}. Do not tell the reason."),
    "fraudulent": Meaning("Suspected fraud", "Stripe or the bank suspects fraud.", f"The customer uses {_OTHER}. Do not tell the reason."),
    "do_not_honor": _UNKNOWN,
    "generic_decline": _UNKNOWN,
    "test_mode_live_card": Meaning("Non test card", "A real card was used in test mode.", "Use one of Stripe's test cards."),
}  # fmt: skip


def meaning(code: str | None, decline_code: str | None) -> Meaning:
    """The issuer's reason says more than Stripe's code."""
    return MEANINGS.get(decline_code or "") or MEANINGS.get(code or "") or _UNKNOWN


def told(failed: Snapshot) -> tuple[str | None, str | None, str | None]:
    """Code, decline code and message of a failed charge or payment intent."""
    if failed["object"] == "charge":
        code, reason = failed.get("failure_code"), part(failed, "outcome").get("reason")
        return code, reason if reason != code else None, failed.get("failure_message")
    error = part(failed, "last_payment_error")
    if not error and failed.get("status") == "requires_action":
        return "authentication_required", None, "The customer has to confirm this payment."
    return error.get("code"), error.get("decline_code"), error.get("message")


def command(found: Meaning, failed: Snapshot, payment: str | None, invoice: str | None) -> str:
    """The command that helps. What an invoice asks for is never charged beside it."""
    customer = failed.get("customer")
    if found is _AUTHENTICATION and payment:
        return f"nself billing payment-intent show {payment} --show-secret"
    if not customer:
        return f"nself billing payment-intent show {payment}" if payment else "nself billing transactions list"
    if found.again and invoice:
        return retry(invoice)
    if found.again:
        given = f"--amount {failed['amount']} --currency {failed['currency']}"
        return f"nself billing payment create {given} --customer {customer}"
    return f"nself billing payment-method attach --customer {customer} --payment-method pm_123 --default"


def retry(invoice: str) -> str:
    """The command that has an invoice paid after a payment of it failed."""
    return f"nself billing invoice pay {invoice} --retry"


def method_of(failed: Snapshot) -> str | None:
    """The payment method with which a charge or payment intent failed."""
    if failed["object"] == "charge":
        return failed.get("payment_method")
    method = part(failed, "last_payment_error").get("payment_method") or failed.get("payment_method")
    return cast("dict[str, Any]", method).get("id") if isinstance(method, dict) else method


# ---- Taking ----

MANY_UNITS, MANY_ZERO_DECIMAL = 10_000, 1_000_000
"""From here on an amount must be confirmed, in units of the currency; one without decimals counts small units."""


def code_of_currency(text: str) -> str:
    """Raises InvalidParameter."""
    if not re.fullmatch(r"[A-Za-z]{3}", text, re.ASCII):
        raise InvalidParameter("Invalid currency: three letters like usd are needed", "currency")
    return text.lower()


def much(currency: str) -> int:
    """The amount in minor units from which on it must be confirmed."""
    digits = exponent(currency)
    return MANY_UNITS * 10**digits if digits else MANY_ZERO_DECIMAL


def check_amount(minor: int, currency: str, confirmed: bool) -> None:
    """Raises AmountUnconfirmed, InvalidParameter for more than Stripe takes at once."""
    if minor > MAX_MINOR:
        raise InvalidParameter(f"Amount must be no more than {Money(MAX_MINOR, currency)}", "amount")
    if minor >= much(currency) and not confirmed:
        raise AmountUnconfirmed(money=Money(minor, currency), minor=minor, currency=currency)


def check_key(key: str | None) -> None:
    """Raises InvalidParameter."""
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise InvalidParameter(
            "Invalid idempotency_key: 1 to 255 visible characters without blanks are needed", "idempotency_key"
        )


def digest(*parts: object) -> str:
    """Tells two requests apart, whatever is in them."""
    return hashlib.blake2b(json.dumps(parts, default=str).encode(), digest_size=12).hexdigest()


# ---- Giving back ----

STRIPES_REASONS = frozenset({"duplicate", "fraudulent", "requested_by_customer"})


def left(charge: Snapshot) -> int:
    """Minor units of a charge that can still be given back."""
    return charge["amount_captured"] - charge["amount_refunded"]


def refusal(charge: Snapshot, amount: int | None, reserved: int = 0, credited: int = 0) -> tuple[str, str] | None:
    """Why a charge cannot give back `amount` (all that is left), in Stripe's words where it has some, with the code.

    `reserved` is what others of the same batch give back, `credited` what went to the customer's balance.
    """
    id, rest = charge["id"], left(charge) - reserved - credited
    if charge["status"] != "succeeded" or not charge["captured"]:
        return f"Charge {id} was not successfully paid, so it cannot be refunded.", "charge_not_refundable"
    if charge.get("disputed"):
        return f"Charge {id} has been charged back; cannot issue a refund.", "charge_disputed"
    if credited and (rest <= 0 or (amount or 0) > rest):
        back, whole = Money(credited, charge["currency"]), Money(max(0, rest), charge["currency"])
        return (
            f"{back} of charge {id} went to the customer's balance with a credit note; {whole} is left",
            "charge_credited",
        )
    if rest <= 0:
        return f"Charge {id} has already been refunded.", "charge_already_refunded"
    if amount is not None and amount > rest:
        asked, whole = Money(amount, charge["currency"]), Money(rest, charge["currency"])
        return f"Refund amount ({asked}) is greater than what is left of charge {id} ({whole})", "amount_too_large"
    return None


def refund_params(charge: Snapshot, amount: int, reason: str, request: str) -> Snapshot:
    """Stripe knows three reasons; ours stays in the metadata."""
    params: Snapshot = {
        "charge": charge["id"],
        "amount": amount,
        "metadata": {"nself_reason": reason, "nself_request": request},
    }
    return params | ({"reason": reason} if reason in STRIPES_REASONS else {})


def paid_parts(invoice: Snapshot) -> list[Snapshot]:
    """The payments that paid an invoice."""
    return [one for one in items(invoice, "payments") if one.get("status") == "paid"]


def paid_intent(invoice: Snapshot) -> str | None:
    """The payment intent that paid an invoice."""
    found = (part(one, "payment") for one in paid_parts(invoice))
    return next((one.get("payment_intent") for one in found if one.get("type") == "payment_intent"), None)


SENT_BACK = ("failed", "canceled")
"""States of a refund that reached nobody: the money is left again."""


def equal(made: Iterable[Snapshot], amount: int, since: int) -> Snapshot | None:
    """The newest refund of the same amount since then."""
    reached = (one for one in made if one["status"] not in SENT_BACK)
    return next((one for one in reached if one["amount"] == amount and one["created"] >= since), None)


OBJECTS = ("charge", "payment_intent", "invoice")
READ = (*OBJECTS, "amount", "currency", "customer")
MAX_ROWS = 10_000


def read_batch(path: str, text: str) -> tuple[list[Asked], list[str]]:
    """The rows of a refund file, and what is wrong with others. Raises BadBatch where it is no such file."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except csv.Error as error:
        raise BadBatch(path=path, detail=f"not CSV: {error} in line {reader.line_num}") from None
    header = [cell.strip().lower() for cell in lines[0][1]] if lines else []
    if not set(OBJECTS) & set(header) or not {"amount", "currency"} <= set(header):
        raise BadBatch(
            path=path, detail="the header must name charge, payment_intent or invoice, and amount and currency"
        )
    if twice := [name for name in READ if header.count(name) > 1]:
        raise BadBatch(path=path, detail=f"the header names {twice[0]} twice")
    if len(lines) - 1 > MAX_ROWS:
        raise BadBatch(path=path, detail=f"{len(lines) - 1} rows; at most {MAX_ROWS} are taken")
    rows, wrong = list[Asked](), list[str]()
    for number, line in lines[1:]:
        try:
            rows.append(_asked(number, _cells(header, line)))
        except (InvalidInteger, InvalidParameter) as error:
            wrong.append(f"row {number}: {error.message}")
    return rows, wrong


def _cells(header: list[str], line: list[str]) -> dict[str, str]:
    """A row that was cut off would ask for all that is left, one with a decimal comma for a hundredth. Raises InvalidParameter."""
    if len(line) != len(header):
        raise InvalidParameter(f"it has {len(line)} cells, the header has {len(header)}")
    return dict(zip(header, (cell.strip() for cell in line), strict=True))


def _asked(number: int, cells: dict[str, str]) -> Asked:
    object = next((cells[name] for name in OBJECTS if cells.get(name)), None)
    if object is None or not re.fullmatch(r"[A-Za-z0-9_]{1,255}", object):
        raise InvalidParameter("it names no charge, payment_intent or invoice")
    amount = cells.get("amount", "")
    if amount and not re.fullmatch(r"-?\d{1,12}", amount, re.ASCII):
        raise InvalidInteger(amount[:40], "amount")
    if amount and int(amount) < 1:
        raise InvalidParameter(f"amount is {amount}; 1 or more is needed, or nothing for all that is left")
    return Asked(
        number, object, int(amount) if amount else None, code_of_currency(cells.get("currency", "")),
        cells.get("customer") or None,
    )  # fmt: skip


def plan(refunds: Iterable[tuple[str, int]]) -> str:
    """A word for these refunds, by operation and minor units, in whatever order; it stays the same while they are made."""
    text = "\n".join(sorted(f"{name} {amount}" for name, amount in refunds))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def totals(amounts: Iterable[Money]) -> list[str]:
    """One sum a currency."""
    sums: dict[str, int] = {}
    for one in amounts:
        sums[one.currency] = sums.get(one.currency, 0) + one.minor
    return [str(Money(minor, currency)) for currency, minor in sorted(sums.items())]
