"""Rules that import contracts cannot see, read from the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
FILES = sorted(path for path in SOURCE.rglob("*.py"))
NSELF = [path for path in FILES if path.is_relative_to(SOURCE / "nself")]
PURE = [
    path
    for path in NSELF
    if path.name in {"rules.py", "rating.py", "figures.py", "formulas.py", "model.py", "inputs.py"}
    or path.parent.name == "core"
]
IO_MODULES = {
    "os",
    "socket",
    "subprocess",
    "psycopg",
    "urllib",
    "yaml",
    "time",
    "sys",
    "requests",
    "shutil",
    "tempfile",
    "logging",
}
MAX_FILE, MAX_FUNCTION = 400, 60


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def imports_of(path: Path, top: str) -> list[str]:
    return [module for module in imported(path) if module.partition(".")[0] == top]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_is_longer_than_four_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE


def test_no_query_file_is_longer_than_four_hundred_lines() -> None:
    assert [
        name(path) for path in SOURCE.glob("nself/domains/*/*.sql") if len(path.read_text().splitlines()) > MAX_FILE
    ] == []


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_function_is_longer_than_sixty_lines(path: Path) -> None:
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION] == []


def test_only_stores_and_the_database_package_import_the_driver() -> None:
    allowed = lambda path: path.name == "store.py" or "db" in path.parts  # noqa: E731
    assert [name(path) for path in NSELF if imports_of(path, "psycopg") and not allowed(path)] == []


def test_only_one_file_imports_the_stripe_sdk() -> None:
    assert [name(path) for path in NSELF if imports_of(path, "stripe")] == ["nself/gateway/live.py"]


def test_statements_are_executed_in_stores_and_the_database_package_alone() -> None:
    call = re.compile(r"\.(execute|executemany)\(|cursor\.copy\(")
    found = [
        name(path)
        for path in NSELF
        if path.name != "store.py" and "db" not in path.parts and call.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_core_models_inputs_and_rules_touch_nothing_outside() -> None:
    touched = [
        f"{name(path)}: {module}"
        for path in PURE
        for module in imported(path)
        if module.partition(".")[0] in IO_MODULES and name(path) not in {"nself/core/clock.py"}
    ]
    assert touched == []


def test_the_clock_is_read_in_one_file() -> None:
    reads = re.compile(r"datetime\.(now|utcnow|today)\(|date\.today\(|\btime\.(time|monotonic)\b")
    found = [name(path) for path in NSELF if reads.search(path.read_text(encoding="utf-8"))]
    assert found == ["nself/core/clock.py"]


def test_money_knows_neither_floats_nor_division() -> None:
    """Files that count money or quotas divide with // and divmod only."""
    domains = SOURCE / "nself/domains"
    rules = [domains / domain / "rules.py" for domain in ("catalog", "usage", "quota", "invoice")]
    files = [
        SOURCE / "nself/core/money.py",
        domains / "catalog/rating.py",
        domains / "catalog/formulas.py",
        domains / "usage/figures.py",
        *rules,
        *(domains / "invoice").rglob("*.py"),
        *(domains / "overage").rglob("*.py"),
        *(domains / "payment").rglob("*.py"),
    ]
    found = [
        f"{name(path)}:{node.lineno}"
        for path in files
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.Constant) and isinstance(node.value, float) and "money" in path.name)
    ]
    assert found == []


def test_domains_meet_only_at_service_inputs_model_and_rules() -> None:
    met = re.compile(r"nself\.domains\.(\w+)\.(store|entrypoints)")
    found = [
        f"{name(path)}: {module}"
        for path in NSELF
        if "domains" in path.parts
        for module in imported(path)
        if (other := met.match(module)) and other[1] != path.relative_to(SOURCE / "nself/domains").parts[0]
    ]
    assert found == []


def test_no_registry_host_and_no_address_of_a_package_index_is_named() -> None:
    root = SOURCE.parent
    hosts = re.compile(
        "|".join([r"pypi\." "org", r"python" r"hosted\.org", r"npmjs\." r"(com|org)", r"deb\." r"debian\.org"])
    )
    listed = [path for path in root.glob("*") if path.is_file()] + [
        *root.glob("docs/**/*.md"),
        *root.glob(".ci/*"),
        *FILES,
    ]
    assert [
        str(path.relative_to(root))
        for path in listed
        if hosts.search(path.read_text(encoding="utf-8", errors="replace"))
    ] == []
