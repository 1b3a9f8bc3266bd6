"""The judge itself: it lets good traffic pass and catches what is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sandbox.conftest import Sandbox, Sdk, paying_customer
from stripe_openapi import (
    SURFACE,
    document,
    rules,
    surface,
    validate_event,
    validate_request,
    validate_response,
    validate_traffic,
)


def test_the_document_is_stripes_own() -> None:
    """`document` checks the git blob id; the rules come from nothing else."""
    assert document()["info"]["version"] == "2026-05-27.dahlia"


def test_the_surface_is_up_to_date() -> None:
    """Otherwise: python tests/stripe_openapi.py"""
    assert json.loads(SURFACE.read_text()) == surface()


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/v1/customers", b"email=a%40b.c&metadata[a]=b&address[line1]=x&expand[0]=tax"),
        ("POST", "/v1/customers", "address="),
        ("POST", "/v1/customers/cus_1", "balance=-5"),
        ("GET", "/v1/customers", "limit=3&created[gte]=1&expand[0]=data.tax"),
        ("GET", "/v1/invoices/search", "query=a"),
        ("POST", "/v1/subscriptions", "customer=cus_1&items[0][price]=p&items[0][quantity]=2&cancel_at=max_period_end"),
        ("DELETE", "/v1/subscriptions/sub_1", "prorate=true"),
    ],
)
def test_good_requests(method: str, path: str, sent: bytes | str) -> None:
    assert validate_request(method, path, sent) == []


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("POST", "/v1/customers", "emial=a"),
        ("POST", "/v1/customers", "balance=1.5"),
        ("POST", "/v1/customers", "address[street]=x"),
        ("POST", "/v1/customers", "tax_exempt=maybe"),
        ("POST", "/v1/customers", "expand=tax"),
        ("POST", "/v1/products", "active=true"),
        ("POST", "/v1/products", "name=a&active=yes"),
        ("GET", "/v1/customers", "created[from]=1"),
        ("GET", "/v1/invoices/search", "limit=1"),
        ("POST", "/v1/nothing", ""),
        ("PATCH", "/v1/customers", ""),
    ],
)
def test_wrong_requests(method: str, path: str, sent: str) -> None:
    assert validate_request(method, path, sent) != []


def test_wrong_responses(api: Sdk) -> None:
    good: Any = json.loads(api.customers.create({"email": "a@example.com"}).last_response.body)
    where = ("GET", f"/v1/customers/{good['id']}", 200)
    assert validate_response(*where, good) == []
    without = {name: value for name, value in good.items() if name != "created"}
    for wrong in ({**good, "nmae": 1}, {**good, "balance": "0"}, {**good, "tax_exempt": "no"}, without, []):
        assert validate_response(*where, wrong) != []
    assert validate_response("GET", "/v1/customers", 404, {"error": {"type": "invalid_request_error"}}) == []
    assert validate_response("GET", "/v1/customers", 404, {"error": {"type": "other"}}) != []
    assert validate_response("GET", "/v1/customers", 404, good) != []


def test_wrong_events(api: Sdk) -> None:
    api.customers.update(api.customers.create().id, {"name": "A"})
    good: Any = json.loads(api.events.list({"limit": 1}).last_response.body)["data"][0]
    assert validate_event(good) == []
    shown = good["data"]["object"]
    for wrong in (
        {**good, "type": "customer.eaten"},
        {**good, "extra": 1},
        {**good, "data": {"object": {**shown, "extra": 1}}},
        {**good, "data": {"object": {**shown, "object": "thing"}}},
        {**good, "data": {"object": shown, "previous_attributes": {"nmae": None}}},
    ):
        assert validate_event(wrong) != []


def test_traffic(api: Sdk, sandbox: Sandbox, tmp_path: Path) -> None:
    paying_customer(api)
    api.events.list()
    lines = [json.loads(line) for line in sandbox.traffic.read_text().splitlines()]
    assert [line["status"] for line in lines] == [200, 200]
    kept = tmp_path / "kept"
    for change in (
        {"answer": {**lines[0]["answer"], "extra": 1}},
        {"body": "emial=a"},
        {"path": "/v1/nothing"},
        {"status": 500},
        {"kind": "event", "event": {}},
    ):
        kept.write_text("\n".join(json.dumps(line) for line in [{**lines[0], **change}, lines[1]]))
        assert validate_traffic(kept) != []
    lines[1]["answer"]["data"][0]["data"]["object"]["extra"] = 1
    kept.write_text(json.dumps(lines[1]))
    assert validate_traffic(kept) != []
    refused = {**lines[0], "body": "emial=a", "status": 400, "answer": {"error": {"type": "invalid_request_error"}}}
    kept.write_text(json.dumps(refused))
    assert validate_traffic(kept) == []


def test_a_worker_loads_it_fast() -> None:
    """Read from the cache: the document, which takes seconds, is not there."""
    rules()
    code = "import sys; sys.path.insert(0, 'tests'); import stripe_openapi as s; del s.document; print(len(s.rules().schemas))"
    done = subprocess.run([sys.executable, "-c", code], cwd=SURFACE.parents[2], capture_output=True, check=True)
    assert int(done.stdout) == len(rules().schemas)
