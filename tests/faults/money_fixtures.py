"""Fixtures of the money tests; their conftests import them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from money_bench import Bench, Sandbox, charge_overage, no_traffic_complaints, sandbox_in_thread

from nself.gateway import retry


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A fresh sandbox; all that went over the wire is judged by Stripe's own document at the end."""
    traffic = tmp_path / "traffic.jsonl"
    with sandbox_in_thread(traffic) as running:
        yield running
    no_traffic_complaints(traffic)


@pytest.fixture
def bench(tmp_path: Path, database: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Plan free includes 20 api_calls a month; the gateway's retries come without the seconds between them."""
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.001)
    folder = tmp_path / "project"
    folder.mkdir()
    made = Bench(folder, database, sandbox)
    charge_overage(made.app(), "api_calls", 20)
    yield made
    made.close()


@contextmanager
def shared_bench(server: str, template: str, folder: Path) -> Iterator[Bench]:
    """For a whole module: one project, database and sandbox; all that went over the wire is judged at the end."""
    (project := folder / "project").mkdir()
    name = f"shared_{folder.name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
    conninfo = psycopg.conninfo.make_conninfo(server, dbname=name)
    with sandbox_in_thread(folder / "traffic.jsonl") as sandbox, closing(Bench(project, conninfo, sandbox)) as bench:
        yield bench
    no_traffic_complaints(folder / "traffic.jsonl")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())
