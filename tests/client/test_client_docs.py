"""The examples of docs/client.md, as they are printed, and what importing the client costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from metering import people
from nself.app import App
from nself.client import errors
from nself.core.errors import BillingError
from nself.domains.usage.inputs import ShowUsage
from nself.domains.usage.service import show

PAGE = Path(__file__).parents[2] / "docs/client.md"
HEAVY = {"psycopg", "psycopg_pool", "stripe", "starlette", "uvicorn", "click", "yaml", "urllib3", "asyncio", "email"}


def test_the_examples_do_what_the_page_says(
    project: App, url: str, key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = project.project.root / "services/billing/config/usage-metrics.yml"
    assert "calls" in metrics.read_text()
    people(project, "user123")
    text = PAGE.read_text().replace("/var/lib/app/usage", str(tmp_path / "buffer"))
    text = text.replace('"api_calls"', '"calls"').replace('"bandwidth"', '"seats"')
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 7
    space: dict[str, object] = {"url": url, "key": key}
    for block in blocks:
        if "user-that-nobody-knows" in block:  # the page closed the client before
            exec(blocks[0].split("client.record")[0], space)
        exec(compile(block, str(PAGE), "exec"), space)
    space["client"].close()  # type: ignore[attr-defined]
    assert "no_such_user" in capsys.readouterr().out
    found = {one.metric: one.value for one in show.show(project, ShowUsage(user="user123"))}
    assert found == {"calls": 1 + 1 + 42 + 1 + 3, "seats": 52_428}


def test_importing_it_loads_no_server_and_no_http() -> None:
    code = "import sys, nself.client; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert loaded & HEAVY == set()


def test_the_client_imports_nothing_of_the_service() -> None:
    code = "import sys, nself.client.aio; print(*[name for name in sys.modules if name.startswith('nself.')])"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} == {"client", "core", "spool"}


def test_what_the_page_names_is_there() -> None:
    names = {one.code for one in vars(errors).values() if isinstance(one, type) and issubclass(one, BillingError)}
    page = PAGE.read_text()
    assert all(code in names for code in re.findall(r"`(client_\w+)`", page))
    from nself.client.model import Options

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(Options.__annotations__) - {"buffer"}
