"""Which issues a symptom belongs to, and causes before consequences. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from nself.diagnosis import Cause, Evidence
from nself.domains.doctor.facts import ISSUES
from nself.domains.doctor.model import Finding

PAGE = "docs/reference/causes/{cause}.md"
WORD = re.compile(r"[a-z0-9]+")
IDLE = frozenset(
    "a an and are as at be but by did do does for from has have in is it its no not of on or our the their they this to was what when why will with error errors".split()
)
SAME = {
    "recorded": "record", "recording": "record", "reported": "record", "email": "mail", "charged": "charge", "cancelled": "cancel",
    "canceled": "cancel", "canceling": "cancel", "cancellation": "cancel", "webhook": "event", "429": "rate", "slowly": "slow",
    "oom": "memory", "blocking": "block", "blocked": "block", "timing": "timeout", "declining": "decline", "declined": "decline",
}  # fmt: skip
"""Spellings of one word."""
BEST = 3
"""Issues that a symptom leads to at most."""


def words(text: str) -> set[str]:
    return {_plain(one[0]) for one in WORD.finditer(text.lower()) if one[0] not in IDLE}


def _plain(word: str) -> str:
    one = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
    return SAME.get(one, one)


def issues_like(symptom: str, causes: Iterable[Cause]) -> list[str]:
    """The issues whose symptoms, titles and causes share most words with `symptom`, best first; empty where none shares any."""
    wanted = words(symptom)
    titles = dict[str, str]()
    for one in causes:
        titles[issue(one.id)] = f"{titles.get(issue(one.id), '')} {one.title}"
    scores = {
        name: 3 * max((len(wanted & words(line)) for line in found.symptoms), default=0)
        + 2 * len(wanted & words(found.title))
        + len(wanted & words(titles.get(name, "")))
        for name, found in ISSUES.items()
    }
    top = max(scores.values())
    likely = [name for name in sorted(scores, key=lambda name: -scores[name]) if 2 * scores[name] > top]
    return likely[:BEST] if top else []


def issue(cause: str) -> str:
    """`1.1.4` -> `1.1`."""
    return cause.rpartition(".")[0]


def belongs(cause: str, issues: Sequence[str]) -> bool:
    """To one of them, or to their chapter, or it is one of them; to anything where none is named."""
    return not issues or any(f"{cause}.".startswith(f"{one}.") for one in issues)


def commands(cause: Cause, evidence: Evidence | None) -> list[str]:
    """The mend ready to paste; without evidence the names of its fields stand for them."""
    if evidence is None:
        return [re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), line) for line in cause.mend]
    quoted = {name: shlex.quote(str(value)) for name, value in evidence.fields.items()}
    return [line.format(**quoted) for line in cause.mend]


def ranked(found: Mapping[str, tuple[Cause, Evidence]]) -> list[Finding]:
    """Causes first, by their number, each before what follows from it."""
    because = {cause: root(cause, found) for cause in found}
    order = sorted(found, key=lambda cause: (because[cause] or cause, bool(because[cause]), cause))
    return [finding(*found[cause], because[cause]) for cause in order]


def root(id: str, found: Mapping[str, tuple[Cause, Evidence]]) -> str:
    """The found cause at the beginning of what led to `id`, empty where it is a beginning itself."""
    seen, at = {id}, id
    while above := next((one for one in found[at][0].follows if one in found and one not in seen), None):
        seen.add(above)
        at = above
    return "" if at == id else at


def finding(cause: Cause, evidence: Evidence, because: str) -> Finding:
    return Finding(
        cause=cause.id,
        title=cause.title,
        sure=evidence.sure,
        evidence=evidence.text,
        because=because,
        mend=commands(cause, evidence),
        elsewhere=cause.elsewhere,
        fix=f"nself billing doctor fix {cause.id}" if cause.itself else "",
        page=PAGE.format(cause=cause.id),
    )
