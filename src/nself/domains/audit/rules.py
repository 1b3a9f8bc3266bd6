"""The rules: of customers (their statements stand in queries.sql), of charges, and of who moved something. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple

from nself.core.money import Money
from nself.domains.audit.model import Cause, Charge, Finding, Made, Paid, Status, Suspect, Suspicion


class Rule(NamedTuple):
    """`name` is that of its statement, too; `mend` takes `{customer}` and `{user}`."""

    name: str
    says: str
    mend: str
    fraud: bool = False


# ---- Customers, in the order of their weight ----

RULES = (
    Rule("disputed", "charges were disputed", "nself billing access revoke --user {user}", True),
    Rule("tried_cards", "several cards failed within an hour", "nself billing access revoke --user {user}", True),
    Rule("shared_card", "the same card belongs to other customers", "nself billing customer show {customer}", True),
    Rule("foreign_card", "the card is of another country than the address", "nself billing customer show {customer}", True),
    Rule("same_email", "other customers have the same email", "nself billing customer list"),
    Rule("no_user", "pays, and belongs to no user", "nself billing customer link --customer {customer} --user user123"),
    Rule("no_email", "subscribes, and has no email", "nself billing customer update {customer} --email user@example.com"),
    Rule("no_card", "subscribes, and has no payment method", "nself billing customer show {customer}"),
)  # fmt: skip


def finding(rule: Rule, one: Suspicion) -> Finding:
    mend = rule.mend if one.user or "{user}" not in rule.mend else "nself billing customer show {customer}"
    return Finding(
        rule=rule.name,
        customer=one.customer,
        user=one.user,
        detail=f"{rule.says}: {one.detail}" if one.detail else rule.says,
        seen_at=one.seen_at,
        mend=mend.format(customer=one.customer, user=one.user),
    )


# ---- Charges ----

TWICE = timedelta(hours=24)
LOOK_BACK = timedelta(days=366)
"""Earlier charges that count: as the first of two, and for what is usual."""
USUAL, FACTOR = 3, 3
"""So many earlier charges tell what is usual; so many times their mean is a jump."""


class _Found(NamedTuple):
    """What one rule says. `amount` is what was too much; 0: for a person to decide."""

    reason: str
    amount: int
    evidence: str


class _History:
    """What is known of one customer's charges so far; it forgets what cannot matter any more."""

    def __init__(self) -> None:
        self.singles = dict[tuple[str, int], list[Charge]]()
        self.usual = dict[str, tuple[int, int]]()
        self.paid, self.above, self.credits = dict[str, int](), dict[str, int](), dict[str, int]()
        self.amounts = set[tuple[str, int]]()

    def judge(self, one: Charge, caps: Mapping[str, int]) -> list[_Found]:
        """What the rules say of the next charge, in the order of time; from then on it is history."""
        found = [*self._of_invoice(one, caps)]
        if not found or found[0].reason != "duplicate":
            found = [*self._twice(one), *found]
        duplicate = bool(found) and found[0].reason == "duplicate"
        if one.invoice is None and not one.ordered and not duplicate:
            found.append(_Found("no_invoice", 0, "neither an invoice nor a command of ours is behind it"))
        if not duplicate:
            found += self._jump(one)
            self.singles.setdefault((one.currency, one.amount), []).append(one)
            total, count = self.usual.get(one.currency, (0, 0))
            self.usual[one.currency] = total + one.amount, count + 1
        if one.invoice:
            self.paid[one.invoice] = self.paid.get(one.invoice, 0) + one.amount - one.refunded
            self.amounts.add((one.invoice, one.amount))
        return found

    def credited(self, one: Charge, most: int) -> int:
        """What went to the balance for a charge, each credit counted once."""
        if one.invoice is None:
            return 0
        left = self.credits.setdefault(one.invoice, one.credited)
        self.credits[one.invoice] -= min(left, most)
        return min(left, most)

    def _of_invoice(self, one: Charge, caps: Mapping[str, int]) -> Iterator[_Found]:
        if one.invoice is None or one.due is None:
            return
        paid = self.paid.get(one.invoice, 0) + one.amount
        over = min(one.amount, paid - one.due)
        if over > 0:
            asked, taken = Money(one.due, one.currency), Money(paid, one.currency)
            same = over == one.amount and (one.invoice, one.amount) in self.amounts
            evidence = f"{one.invoice} asks for {asked}, {taken} were charged"
            yield _Found("duplicate" if same else "over_invoice", over, evidence)
        cap = caps.get(one.currency, 0)
        above = one.overage - cap - self.above.get(one.invoice, 0)
        if cap and above > 0:
            evidence = f"{one.invoice} has {Money(one.overage, one.currency)} of overage, the cap is {Money(cap, one.currency)}"
            found = _Found("over_cap", min(one.amount, above), evidence)
            if one.amount > one.refunded:
                self.above[one.invoice] = self.above.get(one.invoice, 0) + found.amount
            yield found

    def _twice(self, one: Charge) -> Iterator[_Found]:
        """Two that each have an invoice of their own are two purchases."""
        same = self.singles.get((one.currency, one.amount), [])
        same[:] = [other for other in same if one.created_at - other.created_at < TWICE]
        for other in same:
            if other.amount > other.refunded and (one.invoice is None or other.invoice is None):
                yield _Found(
                    "duplicate", one.amount, f"{other.id} of {other.created_at:%Y-%m-%dT%H:%M:%SZ} took the same"
                )
                return

    def _jump(self, one: Charge) -> Iterator[_Found]:
        total, count = self.usual.get(one.currency, (0, 0))
        if count >= USUAL and one.amount * count > FACTOR * total:
            mean = Money(total // count, one.currency)
            yield _Found("jump", 0, f"more than {FACTOR} times {mean}, the mean of {count} earlier charges")


def suspects(charges: Iterable[Charge], since: datetime, caps: Mapping[str, int]) -> Iterator[Suspect]:
    """What is wrong among charges that come customer by customer, each in the order of time.

    Those before `since` are history alone. Of no more than one customer anything is held.
    """
    for customer, of_customer in groupby(charges, lambda one: one.customer):
        history = _History()
        for one in of_customer:
            mine = history if customer else _History()
            found = mine.judge(one, caps)
            if found:
                worst = max(found, key=lambda rule: rule.amount)
                back = min(worst.amount, one.refunded)
                told = _suspect(one, found, worst, back + mine.credited(one, worst.amount - back))
                if one.created_at >= since:
                    yield told


def _suspect(one: Charge, found: list[_Found], worst: _Found, back: int) -> Suspect:
    left = worst.amount - back
    status: Status = "suspicious" if left else "refunded" if worst.amount or one.amount == one.refunded else "review"
    return Suspect(
        customer=one.customer,
        charge=one.id,
        payment_intent=one.payment_intent,
        invoice=one.invoice,
        amount=0 if one.disputed else left,
        currency=one.currency,
        reason=worst.reason,
        evidence="; ".join(rule.evidence for rule in found),
        user=one.user,
        status="disputed" if one.disputed else status,
        charged_at=one.created_at,
        refunded=back,
    )


# ---- Movements ----

BY_ITSELF = ("subscription_cycle", "subscription_create", "subscription_threshold")
SOON = timedelta(hours=1)
"""A change of ours that Stripe invoices at once."""
NOBODY = "nobody we know: no command of ours and no subscription behind it"


def cause(
    ids: Sequence[str], paid: Paid | None, made: Mapping[str, Sequence[Made]], since: datetime
) -> tuple[Cause, str]:
    """Who moved something, and in what words. `ids`: itself and what it hangs on; `made`: what our wishes made, by object.

    Metadata count for nothing: whoever has a key can write them.
    """
    for id in [*ids, *([paid.invoice] if paid else [])]:
        if id in made:
            return "ours", by(made[id][0])
    if paid is None or paid.subscription is None:
        return "unknown", NOBODY
    ours = made.get(paid.subscription, ())
    if paid.reason in BY_ITSELF:
        if ours:
            return "stripe", f"{paid.subscription}, which is of {by(ours[0])}"
        if paid.subscribed_at and paid.subscribed_at < since:
            return "stripe", f"{paid.subscription}, made on {paid.subscribed_at:%Y-%m-%d}"
        return "unknown", f"{paid.subscription} is new and of no command of ours"
    change = next((one for one in ours if abs(paid.invoiced_at - one.at) < SOON), None)
    return ("ours", by(change)) if change else ("unknown", f"{paid.invoice} of {paid.subscription}: no command of ours")


def by(made: Made) -> str:
    return made.by or f"scheduled work ({made.operation})"
