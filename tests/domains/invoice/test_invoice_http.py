"""The same over HTTP: made, finalised, paid and voided with a key that may write invoices."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from billing_hand import Hand
from money_bench import Answer, Bench, served

from nself.domains.api_key import service as api_key
from nself.domains.api_key.inputs import CreateApiKey

Ask = Callable[..., Answer]


@pytest.fixture
def hand(bench: Bench) -> Hand:
    return Hand(bench)


@pytest.fixture
def ask(hand: Hand) -> Iterator[Ask]:
    keys = {
        scopes: api_key.create(hand.app, CreateApiKey(name="app", scopes=scopes)).key
        for scopes in ("invoice:read,invoice:write", "invoice:read")
    }
    with served(hand.bench.app()) as address:

        def call(method: str, path: str, body: object = None, scopes: str = "invoice:read,invoice:write") -> Answer:
            data = json.dumps(body).encode() if body is not None else b"" if method == "POST" else None
            head = {"Authorization": f"Bearer {keys[scopes]}"}
            request = urllib.request.Request(f"{address}/api/v1{path}", data, head, method=method)
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return Answer(answer.status, json.loads(answer.read()))
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return Answer(refusal.code, json.loads(refusal.read()))

        yield call


def test_from_draft_to_paid(hand: Hand, ask: Ask):
    customer = hand.customer()
    body: dict[str, Any] = {"customer": customer, "amount": 1200, "description": "Work", "idempotency_key": "order 7"}
    made = ask("POST", "/invoices", body)
    assert (made.status, made.body["status"], made.body["total_minor"]) == (200, "draft", 1200)
    assert ask("POST", "/invoices", body).body["id"] == made.body["id"]
    changed = ask("POST", "/invoices", {**body, "amount": 1})
    assert (changed.status, changed.body["error"]["code"]) == (409, "idempotency_error")
    id = made.body["id"]
    shown = ask("GET", f"/invoices/{id}?show_lines=true")
    assert [line["amount_minor"] for line in shown.body["details"]] == [1200]
    assert ask("POST", f"/invoices/{id}/finalize").body["status"] == "open"
    assert ask("POST", f"/invoices/{id}/pay", {"retry": True}).body["status"] == "paid"
    assert hand.charged(customer) == [1200]
    refused = ask("POST", f"/invoices/{id}/void", {"reason": "wrong"})
    assert (refused.status, refused.body["error"]["code"]) == (409, "invoice_not_voidable")
    assert refused.body["error"]["hint"][0] == f"nself billing invoice credit {id} --reason billing_error"


def test_refusals(hand: Hand, ask: Ask):
    customer = hand.customer(card="pm_card_chargeCustomerFail")
    id = hand.create(customer, amount=1000).id
    for path, body, status, code in (
        ("/invoices", {"customer": customer, "amount": "10.00"}, 400, "parameter_invalid_integer"),
        ("/invoices", {"amount": 5}, 400, "parameter_missing"),
        ("/invoices/in_none/pay", {}, 404, "resource_missing"),
        (f"/invoices/{id}/void", None, 400, "parameter_missing"),
        (f"/invoices/{id}/pay", None, 402, "card_declined"),
        (f"/invoices/{id}/items", {"description": "x", "amount": 5}, 409, "invoice_not_editable"),
        (f"/invoices/{id}/void", [1], 400, "parameter_invalid"),
    ):
        found = ask("POST", path, body)
        assert (found.status, found.body["error"]["code"]) == (status, code), (path, found)
    denied = ask("POST", f"/invoices/{id}/void", {"reason": "x"}, scopes="invoice:read")
    assert denied.status == 403
    assert ask("POST", f"/invoices/{id}/void", {"reason": "x"}).body["status"] == "void"
