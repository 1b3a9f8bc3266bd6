"""Seed files, read strictly: everything that is wrong is told at once, with its file, line and field."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec
import yaml

from nself.domains.seed.model import KINDS, SeedCustomer, SeedInvoice, SeedSubscription, Wanted

Entry = SeedCustomer | SeedSubscription | SeedInvoice
TYPES: dict[str, type[Entry]] = {
    "customers": SeedCustomer,
    "subscriptions": SeedSubscription,
    "invoices": SeedInvoice,
}
NAME = re.compile(r"(customers|subscriptions|invoices)(?:[-.].*)?\.(?:json|ya?ml)")


class Parsed(NamedTuple):
    """An entry with its place."""

    entry: Entry
    place: str


def read(files: Mapping[str, str]) -> tuple[Wanted, list[str]]:
    """What files (name -> text) ask for, and all that is wrong with them: file, line, field."""
    problems, parsed = list[str](), {kind: list[Parsed]() for kind in KINDS}
    for name, text in files.items():
        found = NAME.fullmatch(name)
        if found is None:
            problems.append(f"{name}: which kind? Files begin with customers, subscriptions or invoices")
            continue
        parsed[cast(Any, found[1])] += _entries(name, text, TYPES[found[1]], problems)
    wanted = Wanted(**cast(Any, {kind: [one.entry for one in rows] for kind, rows in parsed.items()}))
    problems += _across(parsed)
    return wanted, problems


def _entries(name: str, text: str, kind: type[Entry], problems: list[str]) -> Iterator[Parsed]:
    try:
        document, node = _document(name, text)
    except (yaml.YAMLError, ValueError) as error:
        mark: yaml.Mark | None = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else getattr(error, "lineno", 1)
        problems.append(
            f"{name} line {line}: {getattr(error, 'problem', None) or getattr(error, 'msg', None) or error}"
        )
        return
    if document is None:
        return
    if not isinstance(document, list) or not isinstance(node, yaml.SequenceNode):
        problems.append(f"{name} line 1: a list of entries is needed")
        return
    for value, at in zip(cast("list[object]", document), node.value, strict=True):
        place = f"{name} line {at.start_mark.line + 1}"
        wrong = list(_wrong(value, at, kind, name))
        problems += wrong
        if not wrong:
            yield Parsed(msgspec.convert(value, kind), place)


def _document(name: str, text: str) -> tuple[object, yaml.Node | None]:
    """The values and their places; JSON is read strictly first, then as the YAML that it is, for its lines."""
    if name.endswith(".json"):
        return json.loads(text), yaml.compose(text.replace("\t", " "), yaml.SafeLoader)
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        return (cast(Any, loader).construct_document(node) if node else None), node
    finally:
        loader.dispose()


def _wrong(value: object, node: yaml.Node, kind: type[Entry], file: str) -> Iterator[str]:
    """Each thing that is wrong with one entry."""
    start = f"{file} line {node.start_mark.line + 1}"
    if not isinstance(value, dict) or not isinstance(node, yaml.MappingNode):
        yield f"{start}: fields are needed, like key: name"
        return
    given, nodes = cast("dict[object, object]", value), {key.value: (key, at) for key, at in node.value}
    for twice in (name for name, count in Counter(key.value for key, _ in node.value).items() if count > 1):
        yield f"{file} line {nodes[twice][0].start_mark.line + 1}: {twice}: stands twice"
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in given.keys() - fields.keys():
        line = nodes[str(name)][0].start_mark.line + 1 if str(name) in nodes else node.start_mark.line + 1
        yield f"{file} line {line}: {name}: no such field (there are {', '.join(fields)})"
    for name, field in fields.items():
        if name not in given:
            if field.required:
                yield f"{start}: {name}: is missing"
            continue
        try:
            msgspec.convert(given[name], field.type)
        except msgspec.ValidationError as error:
            told, _, path = str(error).partition(" - at `$")
            at = _descend(nodes[name][1], path.rstrip("`"))
            yield f"{file} line {at.start_mark.line + 1}: {name}{path.rstrip('`')}: {told}"


def _descend(node: yaml.Node, path: str) -> yaml.Node:
    """The node at `[0].amount`, or the nearest above it."""
    for index, name in re.findall(r"\[(\d+)\]|\.(\w+)", path):
        if index and isinstance(node, yaml.SequenceNode):
            node = node.value[int(index)]
        elif name and isinstance(node, yaml.MappingNode):
            node = next((at for key, at in node.value if key.value == name), node)
    return node


def _across(parsed: Mapping[Any, Sequence[Parsed]]) -> Iterator[str]:
    """What is wrong between entries: duplicate data, customers that are in no file, invoices that cannot be."""
    for kind, rows in parsed.items():
        yield from _twice(rows, "key", lambda one: one.key, f"duplicate data: {kind} ")
    customers = cast("dict[str, SeedCustomer]", {one.entry.key: one.entry for one in parsed["customers"]})
    yield from _twice(parsed["customers"], "user", lambda one: cast(SeedCustomer, one).owner, "duplicate data: user ")
    for entry, place in (*parsed["subscriptions"], *parsed["invoices"]):
        owner = customers.get(cast(Any, entry).customer)
        if owner is None:
            yield f"{place}: customer: {cast(Any, entry).customer} is in no customers file"
        elif isinstance(entry, SeedInvoice):
            yield from _invoice(entry, owner, place)
        if isinstance(entry, SeedSubscription):
            named = (entry.price is not None, entry.plan is not None, entry.amount is not None)
            if named not in ((True, False, False), (False, True, True)):
                yield f"{place}: price: either price, or plan with amount, is needed"


def _twice(rows: Sequence[Parsed], field: str, of: Callable[[Entry], str], words: str) -> Iterator[str]:
    seen = dict[str, str]()
    for entry, place in rows:
        value = of(entry)
        if value in seen:
            yield f"{place}: {field}: {words}{value} stands already in {seen[value]}"
        seen.setdefault(value, place)


def _invoice(entry: SeedInvoice, owner: SeedCustomer, place: str) -> Iterator[str]:
    total = sum(line.amount for line in entry.lines)
    if entry.status == "paid" and total > 0 and owner.payment_method is None:
        yield f"{place}: status: paid needs a payment_method of customer {owner.key}"
    if total < 0:
        yield f"{place}: lines: the total is {total}; 0 or more is needed"
