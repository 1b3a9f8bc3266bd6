"""Real processes write at once and are killed in the middle."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from nself.core.project import Project
from nself.domains.setting import rules, store
from nself.domains.setting.model import SettingsBusy

WRITER = """
import sys
from pathlib import Path
from nself.app import App
from nself.core.project import Project
from nself.domains.setting import service
from nself.domains.setting.inputs import SetSettings
from nself.registry import Registry
app = App(Project(Path(sys.argv[1])), Registry(("setting",)), environ={})
print("ready", flush=True)
sys.stdin.readline()
for at in range(int(sys.argv[3])):
    service.set_values(app, SetSettings(assignments=[
        f"{sys.argv[2]}_{at}={at} it's $5", f"{sys.argv[2]}_TOKEN_{at}=x{at}", f"LAST={sys.argv[2]}{at}"]))
"""


@contextmanager
def writer(root: Path, name: str, times: int) -> Generator[subprocess.Popen[str]]:
    """A process that waits for a line and then writes `times` times three settings."""
    line = [sys.executable, "-c", WRITER, str(root), name, str(times)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        writers = [stack.enter_context(writer(tmp_path, name, 25)) for name in ("ONE", "TWO", "THREE")]
        for process in writers:
            go(process)
        assert [process.wait(30) for process in writers] == [0, 0, 0]
    plain, secret = store.read(tmp_path / ".env"), store.read(tmp_path / ".secrets")
    for name in ("ONE", "TWO", "THREE"):
        for at in range(25):
            assert rules.read(plain)[f"{name}_{at}"] == f"{at} it's $5"
            assert rules.read(secret)[f"{name}_TOKEN_{at}"] == f"x{at}"
    assert plain.count("LAST=") == 1
    assert not list(tmp_path.glob(".nself-new*"))


def test_a_killed_writer_leaves_old_or_new(tmp_path: Path) -> None:
    """Whatever the moment, the files read as some prefix of the writes, and the next writer goes on."""
    env = tmp_path / ".env"
    first = "# head\n" + "".join(f"FILL_{at}={'x' * 200}\n" for at in range(100))
    env.write_text(first)
    rng, written = random.Random(7), 0
    for round in range(6):
        with writer(tmp_path, f"R{round}", 10_000) as process:
            go(process)
            time.sleep(rng.uniform(0.005, 0.12))
        text = store.read(env)
        found = rules.read(text)
        assert text.startswith(first)
        numbers = [int(name.split("_")[1]) for name in found if name.startswith(f"R{round}_")]
        assert numbers == list(range(len(numbers)))
        written += len(numbers)
        assert all(found[f"R{round}_{at}"] == f"{at} it's $5" for at in numbers)
        secrets = rules.read(store.read(tmp_path / ".secrets"))
        assert len([name for name in secrets if name.startswith(f"R{round}_")]) in (
            len(numbers),
            len(numbers) - 1,
        )
    assert written, "every writer was killed before its first write"
    with writer(tmp_path, "LATER", 1) as last:
        go(last)
        assert last.wait(30) == 0
    assert rules.read(store.read(env))["LATER_0"] == "0 it's $5"
    assert not list(tmp_path.glob(".nself-new*"))


def test_a_lock_that_is_held_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "LOCK_SECONDS", 0.05)
    paths = (Project(tmp_path).env,)
    with store.locked(paths), pytest.raises(SettingsBusy), store.locked(paths):
        pass
