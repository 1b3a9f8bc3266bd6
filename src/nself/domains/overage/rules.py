"""Why what is due is not what was invoiced, in words."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from nself.domains.catalog.model import Version
from nself.domains.catalog.rating import price_text
from nself.domains.invoice.model import Overage, Override
from nself.domains.invoice.rules import is_credit


def reason(one: Overage, now: datetime, has_customer: bool) -> str:
    """Why what is due is or is not what was invoiced."""
    by_hand = _by_hand(one.override) if one.override else ""
    if one.due_minor == one.billed_minor:
        return by_hand + ("invoiced in full" if one.billed else one.why or "nothing to pay")
    if one.due_minor < one.billed_minor:
        return by_hand + _less(one)
    if one.period_end > now:
        return by_hand + "the period is not over yet"
    if not has_customer:
        return by_hand + "the user has no customer at Stripe: nothing can be invoiced"
    return by_hand + _more(one)


def _by_hand(override: Override) -> str:
    why = f" ({override.reason})" if override.reason else ""
    return f"set by hand by {override.actor} at {override.updated_at:%Y-%m-%dT%H:%M:%SZ}{why}; "


def _more(one: Overage) -> str:
    if one.billed is None:
        return "not invoiced yet"
    if one.override:
        return "decided after the invoice: the rest stands on the next one"
    if one.used > one.billed.used:
        return f"{one.used - one.billed.used} units came after the invoice: the rest stands on the next one"
    return f"the quota was {one.billed.limit} when it was invoiced: the rest stands on the next invoice"


def _less(one: Overage) -> str:
    assert one.billed
    if one.override:
        return "decided after the invoice: the credit stands on the next one"
    if is_credit(one):
        return "more units reached a cheaper tier of all: the credit stands on the next invoice"
    if one.used < one.billed.used:
        cause = f"{one.billed.used - one.used} units were taken back after the invoice"
    elif one.limit > one.billed.limit or one.limit < 0:
        cause = f"the quota was {one.billed.limit} when it was invoiced"
    else:
        cause = one.why or "the invoice says more"
    return f"{cause}: nothing is credited before `overage update` says so"


Mismatch = Literal["rate", "usage", "tiers", "share"]


def mismatch(decided: Override, counted: Overage | None) -> tuple[Mismatch, str] | None:
    """What of a decision is not what is counted, priced and included now, and in words; the first that differs."""
    if counted is None:
        return None
    if decided.used != counted.used:
        return "usage", f"usage {decided.used} where the events say {counted.used}"
    if decided.limit != counted.limit:
        return "share", f"quota {decided.limit} where the period's is {counted.limit}"
    if counted.price is None or same_price(decided.price, counted.price):
        return None
    text = f"{price_text(decided.price)} where overage-tiers.yml says {price_text(counted.price)}"
    tiered = counted.price.model != "flat" and decided.price.model == "flat"
    return ("tiers", f"tiers not applied: {text}") if tiered else ("rate", f"rate {text}")


def same_price(one: Version, other: Version) -> bool:
    return (one.model, one.tiers, one.per, one.free, one.minimum) == (
        other.model,
        other.tiers,
        other.per,
        other.free,
        other.minimum,
    )
