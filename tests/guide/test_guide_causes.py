"""The doctor knows each of the guide's 144 root causes by its words, mends it by commands that parse, and can rehearse it.

causes.jsonl is the project's own copy of the guide's lists.
"""

from __future__ import annotations

import json
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import cast

import pytest

from cli_parsing import parser
from nself.cli import main
from nself.core.entrypoint import Causes
from nself.diagnosis import Cause
from nself.domains.doctor.facts import ISSUES
from nself.domains.drill.service.plants import DRILLS
from nself.domains.health import rules as health
from nself.reference import all_errors
from nself.registry import Registry

HERE = Path(__file__).parent
REGISTRY = Registry()
PARSE = parser(main.command(REGISTRY), REGISTRY)
CAUSES = {one.id: one for row in REGISTRY.rows(Causes) for one in cast("tuple[Cause, ...]", REGISTRY.resolve(row.use))}
TITLES = {
    one["cause"]: one["title"] for one in map(json.loads, (HERE / "causes.jsonl").read_text("utf-8").splitlines())
}
GUIDE = HERE.parents[2] / "shared" / "guide" / "billing-troubleshooting-guide.md"


def plain(line: str) -> str:
    """A command line in one spelling: without its remark, line ends and the spaces between its words."""
    return re.sub(r"\s+", " ", re.sub(r"\s+# .*$", "", line.replace("\\\n", " "))).strip()


PRINTED = {plain(json.loads(one)["command"]) for one in (HERE / "guide.jsonl").read_text("utf-8").splitlines()}


def test_each_root_cause_of_the_guide_is_known_by_its_words() -> None:
    assert {id: one.title for id, one in CAUSES.items()} == TITLES


def test_each_root_cause_is_declared_once() -> None:
    declared = [one.id for row in REGISTRY.rows(Causes) for one in cast("tuple[Cause, ...]", REGISTRY.resolve(row.use))]
    assert sorted(declared) == sorted(set(declared))


def test_each_root_cause_can_be_rehearsed() -> None:
    assert DRILLS.keys() == CAUSES.keys()


@pytest.mark.parametrize("id", sorted(CAUSES))
def test_what_mends_it_is_read_by_the_command_line(id: str) -> None:
    cause = CAUSES[id]
    assert cause.mend or cause.elsewhere
    assert not cause.itself or cause.mend
    for line in cause.mend:
        PARSE(_typed(line))


def _typed(line: str) -> str:
    """With numbers and ids where the evidence's fields stand."""
    return re.sub(r"\{(\w+)\}", lambda found: _example(found[1]), line)


EXAMPLES = {
    "date": "2026-01-15", "month": "2026-01", "start": "2026-01-01", "end": "2026-02-01", "since": "24h", "period": "month",
    "url": "https://example.com/webhooks/stripe", "kind": "customer", "customer": "cus_123", "subscription": "sub_123",
} | dict.fromkeys(("limit", "days", "seconds", "count", "usage", "quota", "pages", "size"), "7")  # fmt: skip


def _example(field: str) -> str:
    """A value that a field of this name may have."""
    return EXAMPLES.get(field, f"{field}_123")


def test_health_and_errors_point_to_causes_that_there_are() -> None:
    known = TITLES.keys() | ISSUES.keys()
    assert {*health.CAUSES.values(), *health.ISSUES.values()} - {""} <= known
    assert {one.guide for one in all_errors() if re.fullmatch(r"\d\.\d\.\d", one.guide or "")} <= TITLES.keys()


def test_what_follows_from_what_is_known_and_runs_in_no_circle() -> None:
    graph = {id: one.follows for id, one in CAUSES.items()}
    assert {above for found in graph.values() for above in found} <= CAUSES.keys()
    list(TopologicalSorter(graph).static_order())


DATE, DRAFT = "its date is over or in another month", "Stripe draws the id"
VARIED = {
    "nself billing usage find-gaps --user user123": DATE,
    'nself billing usage reconstruct --user user123 --from-logs --date "$(date -u +%F)"': DATE,
    **{
        f"nself billing subscription update sub_123 --trial-end \"$(date -u -d '+{days} days' +%F)\"": DATE
        for days in (4, 14, 20)
    },
    "nself billing subscription create --customer cus_123 --price price_123": "the payment method is the customer's by then",
    "nself billing subscription simulate-change --subscription sub_123 --new-price price_123": "to the price that is there",
    "nself billing payment-method default pm_new --customer cus_123": "what is charged next is the default",
    "nself billing invoice remove-item in_123 --line-item $(nself billing invoice show-lines in_123 | grep price_456 | cut -d' ' -f1)": DRAFT,
    **{
        f"nself billing invoice {word} $(nself billing invoice list --status draft --limit 1 | grep -o 'in_[A-Za-z0-9]*' | head -1)": DRAFT
        for word in ("audit", "update")
    },
    "nself db slow-queries --limit 10 --reset": "statistics begin anew",
    "nself db add-index billing_invoices --columns customer_id,created_at --name billing_invoices_customer": "the index that is missing",
    "nself env set BILLING_MEMORY_LIMIT=4G": "the guide sets it by docker",
}  # fmt: skip
"""Lines that the guide does not print like this, and why."""


@pytest.mark.parametrize("id", sorted(DRILLS))
def test_a_rehearsal_goes_by_the_lines_of_the_guide(id: str) -> None:
    drill = DRILLS[id]
    assert drill.shows and (drill.mend or drill.outside)
    lines = [line for line, _ in drill.shows] + list(drill.mend)
    assert [
        line for line in lines if plain(line) not in PRINTED and line.startswith("nself ") and line not in VARIED
    ] == []


def test_no_line_is_excused_that_is_not_used() -> None:
    used = {line for one in DRILLS.values() for line in (*one.mend, *(line for line, _ in one.shows))}
    assert VARIED.keys() <= used


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not here")
def test_the_project_s_copies_are_what_the_guide_says() -> None:
    text = GUIDE.read_text("utf-8")
    issues = dict(re.findall(r"^### Issue (\d\.\d): (.*)$", text, re.MULTILINE))
    assert {id: one.title for id, one in ISSUES.items()} == issues
    found: dict[str, str] = {}
    for id, part in zip(issues, re.split(r"^### Issue .*$", text, flags=re.MULTILINE)[1:], strict=True):
        symptoms = re.search(r"\*\*Symptoms:\*\*\n((?:- .*\n)+)", part)
        causes = re.search(r"\*\*Root Causes:\*\*\n((?:\d\. .*\n)+)", part)
        assert symptoms and causes
        assert list(ISSUES[id].symptoms) == [line[2:] for line in symptoms[1].splitlines()]
        found |= {f"{id}.{line[0]}": line[3:] for line in causes[1].splitlines()}
    assert found == TITLES
