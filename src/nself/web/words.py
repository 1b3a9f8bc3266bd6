"""How names and numbers of a result read on a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?( [A-Z]{3})?|unlimited")
NAMES = frozenset("id pid port version status_code year cause".split())
"""Numbers that count nothing."""
TOLD = frozenset("state status ok sure standing collector pdf_generator healthy balanced severity level".split())
"""Columns whose words are states."""
WORDS = {
    "good": "ok active paid running processed succeeded done enabled yes",
    "wait": "warning trialing pending open draft waiting past_due queued likely",
    "bad": "failed stopped canceled unpaid stuck dead void uncollectible exceeded certain no disabled critical error",
}
STATES = {word: state for state, words in WORDS.items() for word in words.split()}
SHORT = {"id": "ID", "mrr": "MRR", "pdf": "PDF", "url": "URL", "http": "HTTP", "sha256": "SHA-256", "csv": "CSV"}


def label(name: str, row: Mapping[str, Any] | None = None) -> str:
    """`created_at` as Created at; of money no `_minor` where its currency is known and it is shown with it."""
    if row is not None and isinstance(row.get("currency"), str):
        name = name.removesuffix("_minor")
    words = " ".join(SHORT.get(word, word) for word in name.split("_"))
    return words[:1].upper() + words[1:]


def count(name: str, value: int) -> str:
    """With thousands set apart; limits of -1 are none."""
    return "unlimited" if value == -1 and name in ("limit", "remaining") else f"{value:,}"
