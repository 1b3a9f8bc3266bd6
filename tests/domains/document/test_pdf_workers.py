"""PDF_WORKERS: PDFs that the pdf-generator, a real process, makes at once."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from money_bench import until
from money_processes import running

from billed import Office

PLAN = {"amount": 5000, "description": "Plan"}


@pytest.mark.parametrize("workers", [1, 3])
def test_as_many_are_made_at_once(office: Office, tmp_path: Path, workers: int) -> None:
    """Who has one in hand waits for the locked invoices."""
    app, bench = office.app(), office.bench
    for _ in range(4):
        office.bill(app, office.customer(), PLAN)

    def states() -> dict[str, int]:
        return dict(bench.sql("select state, count(*) from billing_documents group by state"))

    def waiting() -> int:
        return bench.sql("select count(*) from pg_locks where not granted and relation = 'billing_invoices'::regclass")[
            0
        ][0]

    assert states() == {"queued": 4}
    environ = bench.environ(NSELF_PROJECT=str(bench.folder), PDF_WORKERS=str(workers))
    with psycopg.connect(bench.database, options="-c search_path=billing,public") as holder:
        holder.execute("lock table billing_invoices in access exclusive mode")
        with running(tmp_path / "pdf.log", "nself.worker.pdf", environ=environ):
            until(lambda: waiting() == workers, what=(tmp_path / "pdf.log").read_text())
            assert states() == {"running": workers, "queued": 4 - workers}
            holder.rollback()
            until(lambda: states() == {"done": 4})
