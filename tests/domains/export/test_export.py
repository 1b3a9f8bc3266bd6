"""Exports are for their owner alone, harmless in a spreadsheet, and as long as they need to be."""

from __future__ import annotations

import csv
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from nself.app import App
from nself.core.errors import InvalidParameter
from nself.domains.export import service
from nself.domains.export.inputs import Export
from nself.files import FileNotWritten


def fill(app: App, count: int) -> None:
    with app.db.transaction() as tx:
        tx.connection.execute("select billing.ensure_usage_month('2026-02-01')")
        tx.connection.execute("insert into auth.users (id) values ('=cmd|calc'), ('bob')")
        tx.connection.execute(
            "insert into billing_usage (user_id, metric_type, value, created_at, idempotency_key, source, recorded_at)"
            " select case when n = 1 then '=cmd|calc' else 'bob' end, 'api_calls', n, timestamptz '2026-02-01' + n * interval '1 s',"
            " 'key-' || n, 'api', now() from generate_series(1, %s) n",
            (count,),
        )


def test_a_file_is_private_whole_and_harmless(app: App, tmp_path: Path) -> None:
    fill(app, 2500)
    path = tmp_path / "usage.csv"
    done = service.export_usage(app, Export(since="2026-02-01", output=str(path)))
    assert (done.rows, path.stat().st_mode & 0o777, os.listdir(tmp_path)) == (2500, 0o600, ["project", "usage.csv"])
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[0]["user"], rows[0]["value"], rows[0]["at"]] == ["'=cmd|calc", "1", "2026-02-01T00:00:01Z"]
    assert [int(one["value"]) for one in rows] == list(range(1, 2501))
    as_json = tmp_path / "usage.json"
    service.export_usage(app, Export(since="2026-02-01", user="bob", format="json", output=str(as_json)))
    assert [one["value"] for one in json.loads(as_json.read_text())] == list(range(2, 2501))


def test_memory_does_not_grow_with_the_file(app: App, tmp_path: Path) -> None:
    """Ten times as many rows take no more than a half more at once."""
    fill(app, 30_000)
    peaks: list[int] = []
    for until in ("2026-02-01T00:50:00Z", "2026-02-02"):
        tracemalloc.start()
        done = service.export_usage(app, Export(since="2026-02-01", until=until, output=str(tmp_path / "usage.csv")))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert done.rows in (2_999, 30_000)
    assert peaks[1] < 1.5 * peaks[0], peaks


@pytest.mark.parametrize("kind", ["charges", "invoices", "subscriptions", "payments", "refunds", "usage"])
def test_the_default_name_tells_kind_and_time(
    app: App, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = getattr(service, f"export_{kind}")(app, Export(since="24h", format="json"))
    assert (done.output, done.rows) == (f"nself_billing_{kind}_20260210_120000.json", 0)
    assert json.loads((tmp_path / done.output).read_text()) == []


def test_what_is_not_ours_is_not_replaced(app: App, tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link.csv"
    victim.write_text("precious")
    link.symlink_to(victim)
    (tmp_path / "folder.csv").mkdir()
    for name, said in (
        ("link.csv", "symbolic link"),
        ("folder.csv", "it is a folder"),
        ("none/x.csv", "No such file"),
    ):
        with pytest.raises(FileNotWritten, match=said):
            service.export_usage(app, Export(since="24h", output=str(tmp_path / name)))
    assert victim.read_text() == "precious"
    if os.geteuid() == 0:
        os.chown(victim, 65534, 65534)
        with pytest.raises(FileNotWritten, match="somebody else"):
            service.export_usage(app, Export(since="24h", output=str(victim)))


def test_a_placeholder_is_refused_with_what_is_accepted(app: App) -> None:
    with pytest.raises(InvalidParameter, match="write 24h, 7d, 2026-01-15") as refused:
        service.export_usage(app, Export(since="EXPOSURE_TIME"))
    assert refused.value.exit_code == 2
