"""Stripe's published test cards and what each of them does."""

from dataclasses import dataclass
from typing import Literal

DisputeReason = Literal["fraudulent", "product_not_received"]


@dataclass(frozen=True)
class Decline:
    code: str
    decline_code: str
    message: str


@dataclass(frozen=True)
class Card:
    number: str
    tokens: tuple[str, ...]  # `pm_card_…`
    brand: str = "visa"
    funding: Literal["credit", "debit", "prepaid"] = "credit"
    country: str = "US"
    decline: Decline | None = None
    attaches: bool = True  # a card that is declined cannot be saved either, save the one made for that
    authentication: bool = False  # asks the cardholder before it pays
    disputed: DisputeReason | None = None  # the cardholder disputes each payment at once
    setup_helps: bool = False  # once set up for later use, it does not ask when the cardholder is away


_GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_LOST = Decline("card_declined", "lost_card", "Your card was declined.")
_STOLEN = Decline("card_declined", "stolen_card", "Your card was declined.")
_EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.")
_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.")
_PROCESSING = Decline(
    "processing_error",
    "processing_error",
    "An error occurred while processing your card. Try again in a little bit.",
)
_VELOCITY = Decline(
    "card_declined",
    "card_velocity_exceeded",
    "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
)
NOT_A_TEST_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. Your request was in test mode, but used a non test (live) card. For a list of valid"
    " test cards, visit: https://stripe.com/docs/testing.",
)


def _declined(number: str, decline: Decline, *tokens: str) -> Card:
    return Card(number, tokens, decline=decline, attaches=False)


CARDS = (
    Card("4242424242424242", ("pm_card_visa",)),
    Card("4000056655665556", ("pm_card_visa_debit",), funding="debit"),
    Card("5555555555554444", ("pm_card_mastercard",), "mastercard"),
    Card("2223003122003222", (), "mastercard"),
    Card("5200828282828210", ("pm_card_mastercard_debit",), "mastercard", "debit"),
    Card("5105105105105100", ("pm_card_mastercard_prepaid",), "mastercard", "prepaid"),
    Card("378282246310005", ("pm_card_amex",), "amex"),
    Card("371449635398431", (), "amex"),
    Card("6011111111111117", ("pm_card_discover",), "discover"),
    Card("6011000990139424", (), "discover"),
    Card("3056930009020004", ("pm_card_diners",), "diners"),
    Card("3566002020360505", ("pm_card_jcb",), "jcb", country="JP"),
    Card("6200000000000005", ("pm_card_unionpay",), "unionpay", country="CN"),
    _declined("4000000000000002", _GENERIC, "pm_card_chargeDeclined", "pm_card_visa_chargeDeclined"),
    _declined(
        "4000000000009995", _FUNDS,
        "pm_card_chargeDeclinedInsufficientFunds", "pm_card_visa_chargeDeclinedInsufficientFunds",
    ),
    _declined("4000000000009987", _LOST, "pm_card_visa_chargeDeclinedLostCard"),
    _declined("4000000000009979", _STOLEN, "pm_card_visa_chargeDeclinedStolenCard"),
    _declined("4000000000000069", _EXPIRED, "pm_card_chargeDeclinedExpiredCard"),
    _declined("4000000000000127", _CVC, "pm_card_chargeDeclinedIncorrectCvc"),
    _declined("4000000000000119", _PROCESSING, "pm_card_chargeDeclinedProcessingError"),
    _declined("4000000000006975", _VELOCITY, "pm_card_visa_chargeDeclinedVelocityLimitExceeded"),
    Card("4000000000000259", ("pm_card_createDispute",), disputed="fraudulent"),
    Card("4000000000002685", ("pm_card_createDisputeProductNotReceived",), disputed="product_not_received"),
    Card("4000000000000341", ("pm_card_chargeCustomerFail",), decline=_GENERIC),
    Card("4000002500003155", ("pm_card_authenticationRequiredOnSetup",), authentication=True, setup_helps=True),
    Card("4000002760003184", ("pm_card_authenticationRequired",), authentication=True),
    Card("4000000000003220", ("pm_card_threeDSecure2Required",), authentication=True),
)  # fmt: skip

BY_NUMBER = {card.number: card for card in CARDS}
BY_TOKEN = {token: card for card in CARDS for token in card.tokens}


def luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
