"""Pages ask whether services run; what each has in memory is read for `nself status` alone."""

from __future__ import annotations

import os

import pytest

from nself.app import App
from nself.domains.health.inputs import ShowOverview
from nself.domains.health.service import overview
from nself.domains.stack import service as stack
from nself.domains.stack import store
from nself.domains.stack.inputs import ShowStatus
from nself.process import supervisor
from nself.process.client import State


def test_whether_services_run_is_told_without_reading_memory(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[int]()
    monkeypatch.setattr(store, "memory", lambda pid: read.append(pid) or 1)
    monkeypatch.setattr(supervisor, "states", lambda project: {"http": State("http", "RUNNING", os.getpid(), 0, "")})
    told = [(row.service, row.state, row.pid) for row in stack.states(app, ShowStatus())]
    assert overview.overview(app, ShowOverview()).not_running and read == []
    assert told == [(row.service, row.state, row.pid) for row in stack.status(app, ShowStatus())]
    assert read == [os.getpid()]
