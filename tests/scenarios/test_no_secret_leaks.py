"""Secrets are planted wherever they can be given; afterwards nothing that the product wrote, said or started holds one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psycopg
import pytest

from metering import database_on
from nself.db.binaries import newest
from ports import free_port
from serving import Client, until

NSELF = Path(sys.executable).with_name("nself")
KEY, NEW_KEY = "sk_test_51PLANTEDkeyQwErTyUiOpAs", "rk_test_51PLANTEDkeyZxCvBnMlKjHg"
CARD = "4000056655665556"
FOREIGN = "nsk_test_4fJ9xQ2a_PLANTEDq0123456789abcdefghijklmn"
SETTINGS = {
    "STRIPE_MOCK_ENABLED": "true",
    "STRIPE_SECRET_KEY": KEY,
    "STRIPE_WEBHOOK_SECRET": "whsec_PLANTEDwebhookQwErTyUiOp",
    "SMTP_HOST": "127.0.0.1",
    "SMTP_USER": "mailer",
    "SMTP_PASSWORD": "PLANTEDsmtpPassword",
    "MAIL_ENABLED": "true",
    "MAIL_WEBHOOK_SECRET": "whsec_PLANTEDmailQwErTyUiOpAsD",
    "NOTIFY_WEBHOOK_SECRET": "whsec_PLANTEDnotifyQwErTyUiOp",
    "BILLING_LOG_LEVEL": "debug",
}
SECRET = re.compile(r"PLANTED|\b(?:pi|seti)_[A-Za-z0-9]+_secret_[A-Za-z0-9]+|" + CARD)
EVERYWHERE = [KEY, SETTINGS["STRIPE_WEBHOOK_SECRET"], FOREIGN, CARD, "postgresql://me:PLANTEDother@db.example.com/x"]


class Said(NamedTuple):
    who: str
    text: str


class Installation:
    """A project with all its services, on a database of the test's server; what it said to whom."""

    def __init__(self, folder: Path, conninfo: str) -> None:
        self.folder, self.said = folder, list[Said]()
        self.port, self.mock = free_port(), free_port()
        given = psycopg.conninfo.conninfo_to_dict(conninfo)
        host, database = quote(str(given["host"]), safe=""), given["dbname"]
        self.url = (
            f"postgresql://{given['user']}:PLANTEDdatabase@/{database}?host={host}&port={given.get('port', 5432)}"
        )
        settings = SETTINGS | {
            "DATABASE_URL": self.url,
            "BILLING_PORT": str(self.port),
            "STRIPE_MOCK_PORT": str(self.mock),
            "SMTP_PORT": str(free_port()),
        }
        (folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
        self.environ = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}

    def run(self, *words: str) -> str:
        """Standard output; whether it succeeds is other tests' matter."""
        done = subprocess.run(
            [NSELF, "--project", self.folder, *words], env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, check=False
        )  # fmt: skip
        self.said.append(Said(" ".join(words), done.stdout + done.stderr))
        return done.stdout

    def ask(self, key: str | None, method: str, path: str, body: object = None, **headers: str) -> None:
        with Client(self.port, key) as client:
            answer = client.ask(method, path, body, **headers)
        self.said.append(Said(f"{method} {path}", f"{answer.status} {answer.headers} {answer.body.decode()}"))

    def processes(self) -> dict[int, str]:
        """Command lines of all services, by process id."""
        mark, found = f"NSELF_PROJECT={self.folder}".encode(), dict[int, str]()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    mark in (folder / "environ").read_bytes()
                    or str(self.folder).encode() in (folder / "cmdline").read_bytes()
                ):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
        return found


@pytest.fixture
def installation(tmp_path: Path, server: str, template: str) -> Iterator[Installation]:
    (folder := tmp_path / "project").mkdir()
    with database_on(server, template) as conninfo:
        made = Installation(folder, conninfo)
        try:
            yield made
        finally:
            made.run("stop")
            until(lambda: not made.processes())


def use(here: Installation) -> None:
    """Everything that takes text takes a secret, rightly or by mistake."""
    here.run("start")
    key = json.loads(
        here.run("billing", "api-key", "create", "--name", "app", "--scopes", "admin", "--format", "json")
    )["key"]
    here.said.pop()  # shown this once
    secrets = [*EVERYWHERE, key]
    here.run(
        "billing",
        "customer",
        "create",
        "--user",
        "user123",
        "--email",
        "u@example.com",
        "--payment-method",
        "pm_card_visa",
    )
    customer = re.search(r"cus_\w+", here.run("billing", "customer", "list"))
    assert customer
    here.run("billing", "payment", "create", "--amount", "1000", "--customer", customer[0])
    here.run("billing", "payment", "create", "--amount", "1000")
    here.run("billing", "payment-method", "create", "--customer", customer[0], "--card", CARD)
    for secret in secrets:
        for event in ({"user": secret}, {"user": "user123", "metric": secret}, {"user": "user123", secret: 1}, secret):
            wrong = {"metric": "api_calls", "value": 1} | event if isinstance(event, dict) else event
            here.ask(key, "POST", "/api/v1/usage", [wrong])
        here.ask(secret, "POST", "/api/v1/usage", [])
        here.ask(secret, "GET", f"/api/v1/usage?user={quote(secret)}&{quote(secret)}=1")
        here.ask(key, "GET", f"/api/v1/usage?user={quote(secret)}&period={quote(secret)}")
        here.ask(key, "GET", f"/api/v1/invoices/{quote(secret, safe='')}")
        here.ask(key, "POST", "/api/v1/payments", {"amount": secret, "customer": secret})
        here.ask(key, "GET", f"/{quote(secret)}", None, X_Secret=secret)
        body = json.dumps({"id": "evt_1", "object": "event", "type": secret, "data": {"object": {"id": secret}}})
        here.ask(None, "POST", "/webhooks/stripe", body.encode(), Stripe_Signature=f"t=1,v1={secret}")
    for secret in (KEY, CARD):  # one of each kind: a command is a process
        here.run("billing", "usage", "record", "--user", secret, "--metric", "api_calls", "--value", "1")
        here.run("billing", "usage", "record", "--user", "user123", "--metric", secret, "--value", secret)
        here.run("billing", "invoice", "show", secret)
    here.run("env", "set", f"STRIPE_SECRET_KEY={NEW_KEY}")
    here.run("restart", "billing")


LOOKS = (
    "env list", "env get STRIPE_SECRET_KEY", "env get DATABASE_URL", "env get SMTP_PASSWORD", "status", "logs billing --tail 500",
    "logs mail --tail 500", "db status", "billing stripe show-config", "billing stripe test-connection", "billing status",
    "billing errors --last 1h", "billing email show-config", "billing webhook list", "billing webhook status",
    "billing usage rejected list", "billing api-key list", "billing transactions list --format json",
    "billing transactions list --format csv", "billing payments failures --format json", "billing health",
)  # fmt: skip


@pytest.mark.long
def test_no_secret_is_written_said_or_seen(installation: Installation) -> None:
    use(installation)
    for line in LOOKS:
        installation.run(*line.split())
    leaks = [
        f"said to {one.who[:60]}: {found[0]}"
        for one in installation.said
        if (found := SECRET.search(one.text)) and (one.who, found[0]) != ("billing usage rejected list", CARD)
    ]
    state = installation.folder / ".nself"
    logs = [
        path
        for path in state.rglob("*")
        if path.is_file() and path.parent.name != "run" and not path.name.startswith("stripe-sandbox")  # Stripe's side
    ]
    assert any(path.suffix == ".log" for path in logs)
    leaks += [
        f"{path.relative_to(installation.folder)}: {found[0]}"
        for path in logs
        if (found := SECRET.search(path.read_bytes().decode("utf-8", "replace")))
    ]
    running = installation.processes()
    assert len(running) >= 4, running
    leaks += [f"process {line}" for line in running.values() if SECRET.search(line)]
    dump = subprocess.run(
        [newest().folder / "pg_dump", "--inserts", installation.url], capture_output=True, text=True, check=True, timeout=240
    ).stdout  # fmt: skip
    assert "user123" in dump
    leaks += [
        f"database: {line[:90]} … {found[0]}"
        for line in dump.splitlines()
        if (found := SECRET.search(line)) and not ("billing_usage_rejected" in line and found[0] == CARD)
    ]  # a user's or event's id may be any number: what an app sends as usage is kept as it came (SECURITY.md)
    holding = [path for path in installation.folder.rglob("*") if path.is_file() and b"PLANTED" in path.read_bytes()]
    leaks += [
        f"{path} may be read by others" for path in holding if path.stat().st_mode & 0o077 and path.name != ".env"
    ]
    assert sorted(set(leaks)) == []
