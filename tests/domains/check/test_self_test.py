"""`billing test --use-mock` with the real services: each link is broken for real, and that one is named."""

from __future__ import annotations

import json
import os
import re
import socket
from typing import Any

import pytest

from ports import free_port

Stand = Any
"""The fixture of conftest.py."""

TEST = ("billing", "test", "--use-mock")
ALL = [
    "settings", "database", "sandbox", "fixtures", "usage", "aggregation", "quota", "invoice", "finalize", "payment",
    "webhook", "delivery", "processing", "mail", "pdf",
]  # fmt: skip


def test_the_whole_chain_holds_and_what_was_made_is_taken_away(stand: Stand) -> None:
    for _ in range(2):
        ran = stand(*TEST)
        assert ran.code == 0, ran.out + ran.err
        assert list(ran.links().items()) == [*((one, "ok") for one in ALL), ("cleanup", "ok")]
    assert "what cannot be: 2 usage events, void, invoice in_" in ran.out
    assert "none" in stand("billing", "customer", "list").out
    used = stand("billing", "usage", "show", "--user", "nself-self-test", "--format", "json")
    assert [one["value"] for one in json.loads(used.out) if one["value"]] == []
    (own,) = re.findall(r"(msg_\w+) is in the local mailbox", ran.out)
    assert not (stand.commands.root / f".nself/mail/{own}.eml").exists()
    law = json.loads(stand("billing", "usage", "status", "--format", "json").out)
    assert law["balanced"]


SERVICES = {
    "worker": ("processing", "nself start worker"),
    "pdf-generator": ("pdf", "nself start pdf-generator"),
    "mail": ("mail", "nself start mail"),
    "http": ("delivery", "nself start http"),
    "usage-collector": ("aggregation", "nself start usage-collector"),
    "stripe-mock": ("sandbox", "nself start stripe-mock"),
}


@pytest.mark.parametrize(
    "service", [pytest.param(one, marks=() if one == "worker" else pytest.mark.long) for one in SERVICES]
)
def test_a_service_that_is_stopped_is_named(stand: Stand, service: str) -> None:
    link, command = SERVICES[service]
    stand("stop", service)
    try:
        ran = stand(*TEST)
    finally:
        assert stand("start", service).code == 0
    assert (ran.code, ran.links()[link]) == (1, "broken"), ran.out + ran.err
    assert [one for one, state in ran.links().items() if state == "broken"] == [link]
    assert f"Error: {link} is broken: " in ran.err and f"try: {command}\n" in ran.err


SETTINGS = {
    "STRIPE_MOCK_ENABLED": ("false", "settings", "STRIPE_MOCK_ENABLED is false"),
    "QUOTA_ENFORCEMENT_ENABLED": ("false", "quota", "QUOTA_ENFORCEMENT_ENABLED is false"),
    "STRIPE_MOCK_PORT": ("1", "settings", "wrong port configuration: stripe-mock listens on"),
    "STRIPE_API_BASE": ("http://localhost:1", "settings", "wrong port configuration: Calls go to http://localhost:1"),
    "STRIPE_SECRET_KEY": ("sk_live_of_the_stand", "settings", "live"),
    "DATABASE_URL": (f"postgresql://nobody@127.0.0.1:{free_port()}/none", "database", "127.0.0.1"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(one, marks=() if one == "STRIPE_SECRET_KEY" else pytest.mark.long) for one in SETTINGS]
)
def test_a_setting_that_is_wrong_is_named(stand: Stand, name: str) -> None:
    value, link, words = SETTINGS[name]
    ran = stand(*TEST, **{name: value})
    assert (ran.code, ran.links().get(link)) == (1, "broken"), ran.out + ran.err
    assert words in ran.err and "  try: nself " in ran.err


@pytest.mark.long
def test_a_webhook_secret_that_is_wrong_is_named(stand: Stand) -> None:
    secrets = stand.commands.root / ".secrets"
    before = secrets.read_text()
    stand("env", "set", "STRIPE_WEBHOOK_SECRET=whsec_wrong")
    stand("restart", "http")
    try:
        ran = stand(*TEST)
    finally:
        secrets.write_text(before)
        stand("restart", "http")
    assert (ran.code, ran.links()["delivery"]) == (1, "broken"), ran.out + ran.err
    assert "STRIPE_WEBHOOK_SECRET is not the endpoint's" in ran.err


@pytest.mark.long
def test_fixtures_that_are_wrong_are_named(stand: Stand) -> None:
    folder = stand.commands.root / "services/billing/test/fixtures"
    folder.mkdir(parents=True)
    (folder / "customers.json").write_text("[{")
    ran = stand(*TEST)
    (folder / "customers.json").unlink()
    assert ran.links()["fixtures"] == "broken" and "missing mock fixtures" in ran.err and "customers.json" in ran.err


def test_it_needs_the_mock_and_test_mode(stand: Stand) -> None:
    assert (stand("billing", "test").code, stand("billing", "test").out) == (4, "")
    ran = stand(*TEST, STRIPE_MODE="live", STRIPE_SECRET_KEY="sk_live_of_the_stand")
    assert (ran.code, ran.out) == (4, "") and "Mock not in test mode" in ran.err


@pytest.mark.long
def test_a_port_that_another_program_has_is_told(stand: Stand) -> None:
    stand("stop", "stripe-mock")
    port = next(
        line.partition("=")[2]
        for line in (stand.commands.root / ".env").read_text().splitlines()
        if line.startswith("STRIPE_MOCK_PORT")
    )
    with socket.create_server(("127.0.0.1", int(port))):
        ran = stand("start", "stripe-mock")
        assert ran.code == 3 and f"another program (pid {os.getpid()}: " in ran.err and f"on port {port}" in ran.err, (
            ran.err
        )
    assert stand("start", "stripe-mock").code == 0
    assert "running" in stand("status", "stripe-mock").out
