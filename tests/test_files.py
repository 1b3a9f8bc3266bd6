"""Files of results: one error whatever keeps them from being written, and nothing left of a command that was killed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nself import files
from nself.files import FileNotWritten

HOLD = "import sys, pathlib, time; from nself import files\nwith files.private(pathlib.Path(sys.argv[1])): print(flush=True); time.sleep(600)"


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("folder", "it is a folder"),
        ("", "it is a folder"),
        ("file/x.csv", "Not a directory"),
        ("none/x.csv", "No such file"),
        ("/sys/x.csv", "Permission denied|Read-only"),
        ("n" * 300, "File name too long"),
    ],
)
def test_what_keeps_a_file_from_being_written_is_one_error(tmp_path: Path, place: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(FileNotWritten, match=said) as told, files.private(tmp_path / place):
        pytest.fail("it can be written")
    assert (told.value.exit_code, told.value.code) == (1, "file_not_written")


def test_a_full_disk_is_told_with_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "charges.csv"
    path.write_text("old")
    with pytest.raises(FileNotWritten, match=r"charges\.csv cannot be written: No space left"), files.private(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert [one.read_text() for one in tmp_path.iterdir()] == ["old"]


def test_the_next_command_removes_what_a_killed_one_left_and_nothing_of_a_living_one(tmp_path: Path) -> None:
    path, other = tmp_path / "batch.result.csv", tmp_path / "batch.result.csv.bak"
    held = [
        subprocess.Popen([sys.executable, "-c", HOLD, str(one)], stdout=subprocess.PIPE) for one in (path, path, other)
    ]
    try:
        for one in held:
            assert one.stdout and one.stdout.readline()
        assert len(list(tmp_path.iterdir())) == 3
        for killed in (held[0], held[2]):
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        with files.private(path) as file:
            file.write("whole")
        assert path.read_text() == "whole"
        assert len(list(tmp_path.glob(".batch.result.csv.????????.part"))) == 1  # of the one that lives
        files.sweep(tmp_path)
        assert len(list(tmp_path.iterdir())) == 2
    finally:
        for one in held:
            one.kill()
            one.communicate()
