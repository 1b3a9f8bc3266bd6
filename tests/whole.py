"""A project whose services are the real ones, and whose commands are the real command line."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ports import free_port
from stripe_openapi import validate_traffic

sys.path.insert(0, str(Path(__file__).parent / "process"))
from harness import Stand


class Whole(Stand):
    def popen(self, *words: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [Path(sys.executable).with_name("nself"), "--project", self.root, *words],
            env={**self.environ, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/",
        )  # fmt: skip

    def ask(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--format", "json").stdout)


@contextmanager
def whole(**settings: str) -> Iterator[Whole]:
    """Nothing of it is left in the end; what went over the sandbox's wire is judged by Stripe's own document."""
    with tempfile.TemporaryDirectory(prefix="nself-test-", dir="/tmp", ignore_cleanup_errors=True) as above:
        Path(above).chmod(0o755)
        root = Path(above) / "p"
        root.mkdir()
        found, traffic = Whole(root), root / ".nself/traffic.jsonl"
        settings |= {
            "BILLING_PORT": str(free_port()),
            "STRIPE_MOCK_PORT": str(free_port()),
            "STRIPE_MOCK_TRAFFIC": ".nself/traffic.jsonl",
        }
        (root / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        try:
            yield found
            assert not traffic.exists() or validate_traffic(traffic) == []
        finally:
            found.close()
