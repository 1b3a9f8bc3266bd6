"""The words that the guide looks for in logs come by what it says they tell of, and not before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import requests

from serving import until
from whole import Whole, whole

USER = ("--user", "user123", "--metric", "api_calls")


def said(*words: str, code: int = 0, **environ: str) -> Callable[[Whole], object]:
    return lambda project: project.run(*words, code=code, **environ)


def several(*causes: Callable[[Whole], object]) -> Callable[[Whole], object]:
    return lambda project: [cause(project) for cause in causes]


RECORDED = said("billing", "usage", "record", *USER, "--value", "1")


def forged(project: Whole) -> None:
    """A webhook that somebody else has signed."""
    port = re.search(r"^BILLING_PORT=(\d+)$", (project.root / ".env").read_text(), re.MULTILINE)
    assert port
    header = {"Stripe-Signature": "t=1767225600,v1=" + "0" * 64}
    answer = requests.post(f"http://127.0.0.1:{port[1]}/webhooks/stripe", b"{}", headers=header, timeout=60)
    assert answer.status_code == 400


class Word(NamedTuple):
    """A search of the guide in `nself logs GROUP`; what makes it find something; whether it finds nothing before."""

    group: str
    pattern: str
    cause: Callable[[Whole], object]
    quiet: bool = True


WORDS = (
    Word("billing", "usage_recorded", RECORDED, quiet=False),
    Word("billing", "aggregation", several(RECORDED, said("billing", "usage", "aggregate")), quiet=False),
    Word("billing", "pdf_generation", said("billing", "invoice", "regenerate-pdf", "in_122")),
    Word(
        "billing", "subscription_create",
        said("billing", "subscription", "create", "--customer", "cus_123", "--price", "price_456", "--payment-method", "pm_123"),
    ),
    Word("billing", "proration", said("billing", "subscription", "preview-change", "--subscription", "sub_123", "--new-price", "price_456")),
    Word("billing", "cancel.*sub_123", said("billing", "subscription", "cancel", "sub_123", "--at-period-end")),
    Word("billing", "invoice_generation", said("billing", "invoice", "generate", "--period", "2026-01")),
    Word("mail", "mail_sent.*invoice=in_122", said("billing", "invoice", "send", "in_122"), quiet=False),
    Word(
        "billing", "quota_enforcement",
        several(
            said("billing", "quota", "set", *USER, "--limit", "1", "--mode", "hard"),
            said("billing", "quota", "check", *USER, code=3),
        ),
    ),
    Word("billing", "quota_reset", said("billing", "quota", "reset", *USER)),
    Word("billing", "webhook_received", said("billing", "sandbox", "trigger", "customer.updated"), quiet=False),
    Word("billing", "webhook_processed.*duration", said("billing", "sandbox", "trigger", "customer.updated"), quiet=False),
    Word("billing", "customer_create.*cus_", said("billing", "customer", "create", "--user", "new", "--email", "new@example.com"), quiet=False),
    Word("billing", "sync", said("billing", "sync", "customer", "cus_123"), quiet=False),
    Word("billing", "reconciliation", said("billing", "reconcile")),
    Word("billing", "seed", said("billing", "seed", "run"), quiet=False),
    Word("billing", "webhook signature", forged),
    Word(
        "billing", "rate_limit",
        several(
            said("billing", "sandbox", "faults", "add", "--fail", "429", "--times", "1"),
            said("billing", "sync", "customer", "cus_123"),
        ),
    ),
    Word(
        "billing", "timeout",
        several(
            said("billing", "sandbox", "faults", "add", "--delay", "3s", "--times", "1"),
            said("billing", "sync", "customer", "cus_123", STRIPE_TIMEOUT="1s"),
        ),
    ),
    Word("billing", "service_restarted", said("restart", "billing")),
    Word(
        "billing", "authentication failed",
        several(said("billing", "sandbox", "keys", "revoke", "sk_test_PLACEHOLDER_guide"), said("billing", "sync", "customer", "cus_123", code=4)),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def project() -> Iterator[Whole]:
    with whole(MAIL_ENABLED="true", MAIL_FROM="billing@example.com") as found:
        found.run("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")
        yield found


def logs(project: Whole) -> dict[str, list[str]]:
    return {group: project.run("logs", group).stdout.splitlines() for group in ("billing", "mail")}


def found(lines: dict[str, list[str]], word: Word) -> int:
    return sum(1 for line in lines[word.group] if re.search(word.pattern, line))


@pytest.mark.long
def test_each_word_is_found_once_its_cause_was_there(project: Whole) -> None:
    for at, word in enumerate(WORDS):
        lines = logs(project)
        loud = [one.pattern for one in WORDS[at:] if one.quiet and found(lines, one)]
        assert not loud, f"before {word.pattern}"
        before = found(lines, word)
        word.cause(project)
        until(lambda word=word, before=before: found(logs(project), word) > before, what=f"{word.pattern} did not come")
