"""How two snapshots differ, field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nself.domains.mirror.rules import differences

ITEMS = {"object": "list", "url": "/v1/items", "data": [{"id": "si_1", "quantity": 1}, {"id": "si_2", "quantity": 2}]}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"status": "active"}, {"status": "past_due"}, [("status", "active", "past_due")]),
        ({"name": None}, {}, []),
        ({"name": None}, {"name": "Ada"}, [("name", None, "Ada")]),
        ({"metadata": {}}, {"metadata": {"plan": "pro"}}, [("metadata.plan", None, "pro")]),
        ({"metadata": {"plan": "pro"}}, {"metadata": {}}, [("metadata.plan", "pro", None)]),
        ({"card": None}, {"card": {"last4": "4242"}}, [("card", None, {"last4": "4242"})]),
        ({"amount": 1}, {"amount": "1"}, [("amount", 1, "1")]),
        ({"flag": False}, {"flag": 0}, []),
        (
            {"items": ITEMS},
            {"items": {**ITEMS, "data": [{"id": "si_2", "quantity": 5}, {"id": "si_3", "quantity": 1}]}},
            [
                ("items.si_1", {"id": "si_1", "quantity": 1}, None),
                ("items.si_2.quantity", 2, 5),
                ("items.si_3", None, {"id": "si_3", "quantity": 1}),
            ],
        ),
        ({"items": ITEMS}, {"items": {**ITEMS, "data": ITEMS["data"][::-1], "total_count": 2}}, []),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, [("tags", ["a", "b"], ["b", "a"])]),
        ({"discounts": []}, {"discounts": None}, []),
    ],
)
def test_fields_are_named_by_their_paths(
    before: dict[str, Any], after: dict[str, Any], expected: list[tuple[str, Any, Any]]
):
    assert [(one.field, one.before, one.after) for one in differences(before, after)] == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=2), children, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=2), JSON, max_size=4))
def test_nothing_differs_from_itself(snapshot: dict[str, Any]):
    assert differences(snapshot, snapshot) == []


@given(*[st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(0, 3), max_size=3)] * 2)
def test_differences_turn_one_into_the_other(before: dict[str, Any], after: dict[str, Any]):
    patched = dict(before)
    for one in differences(before, after):
        assert patched.get(one.field) == one.before
        patched[one.field] = one.after
    names = before.keys() | after.keys()
    assert {name: patched.get(name) for name in names} == {name: after.get(name) for name in names}
