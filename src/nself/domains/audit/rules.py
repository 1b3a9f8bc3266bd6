"""The rules, in the order of their weight: what each finds, and what helps. The statements stand in queries.sql."""

from __future__ import annotations

from typing import NamedTuple

from nself.domains.audit.model import Finding, Suspicion


class Rule(NamedTuple):
    """`name` is that of its statement, too; `mend` takes `{customer}` and `{user}`."""

    name: str
    says: str
    mend: str
    fraud: bool = False


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
