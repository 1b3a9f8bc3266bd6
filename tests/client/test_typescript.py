"""clients/typescript: what was generated is what the document says, it compiles, and it does its work against the real service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guided import Guided, guided
from nself.domains.customer import service as customer
from nself.domains.notification import rules
from nself.domains.notification.model import Outgoing
from nself.domains.quota.inputs import SetQuota
from nself.domains.quota.service import limits
from nself.gateway import signature

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "clients/typescript"
TOOLS = FOLDER / "node_modules/.bin"
SECRET, AT = "whsec_of_the_test", datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
needs_node = pytest.mark.skipif(
    shutil.which("npm") is None or not TOOLS.exists(),
    reason="there is no node, or nobody ran `npm ci` in clients/typescript (make client)",
)


def run(*line: str, **environ: str) -> str:
    done = subprocess.run(
        line, cwd=FOLDER, env={**os.environ, **environ}, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    return done.stdout


def test_the_types_name_every_operation_and_field_of_the_document() -> None:
    """Also where there is no node: `make client` makes them anew."""
    document: dict[str, Any] = json.loads((ROOT / "docs/reference/openapi.json").read_text())
    made = (FOLDER / "src/schema.ts").read_text()
    names = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    fields = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", ())}
    assert {name for name in names | fields if name not in made} == set()
    assert len(names) > 30 and len(fields) > 100


def test_the_lock_file_names_no_host_of_packages() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages and all("resolved" not in one and one["integrity"] for one in packages.values())


@needs_node
def test_what_is_committed_is_what_is_generated_and_its_types_refuse_what_they_should() -> None:
    run("npm", "run", "--silent", "check")


@pytest.fixture(scope="module")
def service(server: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guided]:
    with guided(server, template, tmp_path_factory.mktemp("typescript")) as made:
        yield made


def signed() -> dict[str, object]:
    """A webhook as the service sends it."""
    data = json.dumps({"subject": "", "text": "", "data": {"user": "user123", "metric": "api_calls", "percent": 80}})
    body = rules.event(
        Outgoing(
            id="msg_1",
            kind="quota.threshold",
            channel="webhook",
            recipient="",
            livemode=False,
            data=data,
            created_at=AT,
        )
    )
    header = signature.sign(body, SECRET, AT, "whsec_the_next")
    return {"body": body.decode(), "header": header, "secret": SECRET, "at": int(AT.timestamp())}


@needs_node
def test_it_does_its_work_against_the_service(service: Guided) -> None:
    users = [f"typescript-{number}" for number in range(12)]
    customer.create_users(service.app, {user: f"{user}@example.com" for user in users})
    for user in users:
        limits.set_quota(service.app, SetQuota(user=user, metric="api_calls", limit=10))
    given = {"url": service.url, "key": service.keys["admin"], "users": users, "hook": signed()}
    run("npm", "test", "--silent", NSELF_TEST=json.dumps(given))


@needs_node
@pytest.mark.long
def test_the_examples_of_its_readme_run(service: Guided) -> None:
    blocks = re.findall(r"```js\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 8
    given = {"url": service.url, "key": service.keys["admin"], **signed()}
    names = f"const {{ url, key, body, header, secret }} = {json.dumps(given)};\n"
    checks = """
import assert from "node:assert/strict";
assert.deepEqual([found.accepted, found.rejected[0].code, typeof invoice.id], [1, "no_such_user", "string"]);
assert.equal((await billing.check("user123", "api_calls", 0)).used, 1 + 2 + 42);
const sent = new Request(url, { method: "POST", body, headers: { "Nself-Signature": header } });
await assert.rejects(handle(sent), /before this clock/);
console.log(payment.id, page.url);
"""
    run("npm", "run", "--silent", "build")
    script = FOLDER / "dist/readme.mjs"
    script.write_text("\n".join((names, *blocks, checks)))
    assert re.fullmatch(r"pi_\w+ http\S+\n", run("node", str(script)))
