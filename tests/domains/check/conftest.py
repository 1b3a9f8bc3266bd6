"""A project whose services are the real ones, at the sandbox, with mail on; used through the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from commanding import CLI, Commands, commanding

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes")

from money_fixtures import bench, sandbox  # noqa: E402

__all__ = ["Stand", "bench", "sandbox"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    def links(self) -> dict[str, str]:
        """Link -> state, as `billing test` printed them."""
        return {line.split()[0]: line.split()[1] for line in self.out.splitlines()}


class Stand(NamedTuple):
    commands: Commands

    def __call__(self, *words: str, **environ: str) -> Ran:
        done = subprocess.run(
            [sys.executable, "-P", "-c", CLI, *words],
            env={**os.environ, "NSELF_PROJECT": str(self.commands.root), **environ},
            cwd=self.commands.root, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with commanding() as commands:
        settings = ["STRIPE_MODE=test", "STRIPE_MOCK_ENABLED=true", "STRIPE_SECRET_KEY=sk_test_PLACEHOLDER_check"]
        settings += ["STRIPE_RATE_LIMIT=1000", "MAIL_ENABLED=true", "MAIL_FROM=billing@example.com"]
        commands.nself("env", "set", *settings)
        commands.nself("start")
        port = next(one["port"] for one in commands.json("status") if one["service"] == "http")
        commands.nself("billing", "webhook", "update-url", f"http://127.0.0.1:{port}/webhooks/stripe")
        yield Stand(commands)
