"""What is installed is pinned by its hash, and the scan for secrets finds what it is for."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"([a-z0-9-]+)(?:\[[a-z,-]+\])?==([^\s;]+)(?: ; [^\\]+)?((?: --hash=sha256:[0-9a-f]{64})+)")
SCAN = ROOT / ".ci" / "scan-secrets"


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~! ;]", name)[0]).lower()


def test_every_dependency_is_pinned_with_its_hashes() -> None:
    lines = (ROOT / "requirements.lock").read_text().replace("\\\n", "").splitlines()
    found = [PIN.fullmatch(re.sub(" +", " ", line).strip()) for line in lines if line]
    assert found and None not in found, [line[:80] for line, pin in zip(lines, found, strict=False) if not pin]
    pinned = {pin[1] for pin in found if pin}
    assert len(pinned) >= 100
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()]
    wanted = {plain(one) for group in (project["project"]["dependencies"], *groups) for one in group}
    assert wanted - pinned == set()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("key = " + "sk_live_" + "51H8sZvKj3NpQmRtXyW2aBcD", True),
        ("key = " + "rk_test_" + "51H8sZvKj3NpQmRtXyW2aBcD", True),
        ("secret: " + "whsec_" + "9fJ2kLmQpRsTvWxYz3AbCdEf", True),
        ("Authorization: Bearer " + "nsk_live_4fJ9xQ2a_" + "9fJ2kLmQpRsTvWxYz3AbCdEf9fJ2kLmQ", True),
        ("-----BEGIN RSA " + "PRIVATE KEY-----", True),
        ("STRIPE_SECRET_KEY=sk_test_PLACEHOLDER_key", False),
        ("nothing at all", False),
    ],
)
def test_the_scan_finds_keys_that_look_real(tmp_path: Path, text: str, found: bool) -> None:
    (file := tmp_path / "notes.txt").write_text(text + "\n")
    ran = subprocess.run([SCAN, sys.executable, file], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode == 1 and "notes.txt" in ran.stdout) if found else ran.returncode == 0, ran
