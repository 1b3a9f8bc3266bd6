"""Users' own fixtures: any order, all or none, a bad file is named, and a start is never blocked by one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from domains.sandbox.conftest import Run, Sandbox
from ports import free_port

CUSTOMER = {"object": "customer", "id": "cus_mine", "email": "me@example.com", "address": {"country": "US"}}
SUBSCRIPTION = {
    "object": "subscription",
    "id": "sub_mine",
    "status": "active",
    "customer": "cus_mine",
    "items": {"data": [{"id": "si_mine", "price": "price_123"}]},
}


@pytest.fixture
def folder(project: Path) -> Path:
    found = project / "services" / "billing" / "test" / "fixtures"
    found.mkdir(parents=True)
    return found


def put(folder: Path, name: str, document: object) -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_files_refer_to_each_other_in_any_order(run: Run, folder: Path) -> None:
    put(folder, "a.json", [SUBSCRIPTION])
    put(folder, "customers.json", {"object": "list", "data": [CUSTOMER]})
    put(folder, "price.json", {"object": "product", "id": "prod_mine", "name": "Mine"})
    done = run("load", "--format", "json").json
    assert (done["files"], done["left"], done["differing"]) == (3, 0, [])
    assert done["loaded"] == {"subscription": 1, "subscription_item": 1, "customer": 1, "product": 1}
    assert run("retrieve", "subscriptions", "sub_mine").json["status"] == "active"


def test_what_is_there_is_left_and_what_differs_is_told(run: Run, folder: Path) -> None:
    put(folder, "a.json", [SUBSCRIPTION, CUSTOMER])
    run("load")
    again = run("load", "--format", "json")
    assert (again.json["loaded"], again.json["left"], again.json["differing"]) == ({}, 2, [])
    assert "left as it is" not in again.err
    run("edit", "customer", "cus_mine", "--set", "email=you@example.com", "--set", "address.country=DE")
    put(folder, "b.json", {"object": "customer", "id": "cus_new"})
    told = run("load")
    assert (
        told.code == 0
        and "left as it is in the sandbox: a.json[1] customer cus_mine: email, address.country" in told.err
    )
    assert run("retrieve", "customers", "cus_new").json["id"] == "cus_new"
    assert run("retrieve", "customers", "cus_mine").json["email"] == "you@example.com"
    run("edit", "customer", "cus_mine", "--delete")
    assert "a.json[1] customer cus_mine: it was deleted" in run("load").err


BAD = [
    ("[}", "z.json: line 1, column 2"),
    ("", "z.json: line 1, column 1"),
    ("3", "z.json: an array of objects, one object or"),
    ('{"id": "cus_1"}', "z.json: an array of objects, one object or"),
    ("[7]", "z.json[0]: must be an object"),
    ('[{"id": "cus_1"}]', "z.json[0]: needs an `object` and an `id`"),
    ([CUSTOMER | {"id": "cus_1"}, CUSTOMER | {"emial": "x"}], "z.json[1] customer cus_mine: emial: Stripe has no"),
    ([CUSTOMER], "z.json[0] customer cus_mine: id: there is one with this id already"),
    ([SUBSCRIPTION | {"customer": "cus_none"}], "z.json[0] subscription sub_mine: customer: there is no customer"),
    ("[" * 100_000, "z.json: "),
]


def test_a_bad_file_is_named_and_nothing_is_loaded(run: Run, folder: Path, sandbox: Sandbox) -> None:
    put(folder, "customers.json", [CUSTOMER])
    before = sandbox.admin("GET", "state")["objects"]
    for document, says in BAD:
        put(folder, "z.json", document)
        refused = run("load")
        assert refused.code == 2 and f"Nothing was loaded. {says}" in refused.err, (says, refused)
    assert sandbox.admin("GET", "state")["objects"] == before


def test_files_elsewhere_are_named_as_they_were_given(run: Run, tmp_path: Path) -> None:
    path = put(tmp_path, "mine.json", [CUSTOMER | {"emial": "x"}])
    assert f"{path}[0] customer cus_mine: emial" in run("load", str(path)).err
    put(tmp_path, "mine.json", CUSTOMER)
    assert run("load", str(path), "--format", "json").json["loaded"] == {"customer": 1}


def test_a_start_loads_them_and_a_bad_one_blocks_nothing(
    run: Run, folder: Path, nself: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide's order: put files there, restart, use them."""
    put(folder, "bad.json", CUSTOMER | {"emial": "x"})
    monkeypatch.setenv("STRIPE_MOCK_PORT", str(free_port()))
    try:
        out, err = nself("start", "stripe-mock", "--format", "json").communicate(timeout=60)
        (row,) = json.loads(out)
        assert row["state"] == "running", err
        assert "bad.json[0] customer cus_mine: emial: Stripe has no such field" in row["note"]
        assert "fixtures_not_loaded" in (folder.parents[3] / ".nself/logs/cli.log").read_text()
        put(folder, "bad.json", CUSTOMER)
        out, err = nself("restart", "stripe-mock", "--format", "json").communicate(timeout=60)
        assert json.loads(out)[0]["note"] == "", err
        assert run("retrieve", "customers", "cus_mine").json["email"] == "me@example.com"
    finally:
        assert nself("stop").wait(60) == 0
