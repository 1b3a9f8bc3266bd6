"""Every reference of every way in leads to something."""

from __future__ import annotations

import pytest

from nself.registry import Registry

REFERENCES = sorted(
    {
        (type(row).__name__, value)
        for row in Registry().all
        for name, value in row._asdict().items()
        if name in ("apply", "call", "find", "input", "settle", "use") and value is not None
    }
)


@pytest.mark.parametrize("kind, reference", REFERENCES)
def test_a_reference_leads_to_something(kind: str, reference: str, registry: Registry) -> None:
    found = registry.resolve(reference)
    assert isinstance(found, tuple) if kind == "Causes" else callable(found)


def test_all_kinds_of_rows_are_looked_at() -> None:
    assert {type(row).__name__ for row in Registry().all} == {kind for kind, _ in REFERENCES}
