"""An S3-compatible server for all tests of the archive, a bucket and a proxy for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from metering import METRICS, app_on, fresh, law
from nself.app import App
from nself.core.clock import Clock
from object_store import KEYS, Gate, Store, gate_to, moto


class Open(Protocol):
    def __call__(self, **settings: str) -> App: ...


@pytest.fixture(scope="session")
def objects() -> Iterator[Store]:
    with moto() as store:
        yield store


@pytest.fixture
def bucket(objects: Store) -> str:
    name = fresh("bucket")
    objects.client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def gate(objects: Store) -> Iterator[Gate]:
    with gate_to(objects) as gate:
        yield gate


@pytest.fixture
def environ(bucket: str, gate: Gate) -> dict[str, str]:
    """Settings of the archive."""
    return {"ARCHIVE_S3_BUCKET": bucket, "ARCHIVE_S3_ENDPOINT": gate.url, "ARCHIVE_S3_TIMEOUT": "20s", **KEYS}


@pytest.fixture
def open_app(database: str, tmp_path: Path, clock: Clock, environ: dict[str, str]) -> Iterator[Open]:
    """Apps of the test's own database with other settings; at the end the law holds."""
    opened: list[AbstractContextManager[App]] = []

    def open_app(**settings: str) -> App:
        context = app_on(tmp_path / "project", database, clock, METRICS, **{**environ, **settings})
        opened.append(context)
        app = context.__enter__()
        (app.project.config / "overage-tiers.yml").write_text('overage:\n  calls: {amount: "0.10"}\n')
        return app

    yield open_app
    for context in opened:
        context.__exit__(None, None, None)


@pytest.fixture
def app(open_app: Open) -> Iterator[App]:
    app = open_app()
    yield app
    law(app)
