"""Issue 4.4 of the guide on real services: an invoice that is finalised at Stripe has its PDF, though the pdf-generator was killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from commanding import commanding, until_printed

pytestmark = pytest.mark.xdist_group("metering faults")
LOGS = ("logs", "billing", "--grep", "pdf_generation")


def test_a_finalised_invoice_becomes_a_file() -> None:
    with commanding() as commands:
        commands.nself("env", "set", "STRIPE_MOCK_ENABLED=true", "STRIPE_SECRET_KEY=sk_test_PLACEHOLDER_key")
        commands.nself("start")
        commands.nself("billing", "sandbox", "reset", "--fixtures", "guide", "--yes")
        commands.nself("stop", "pdf-generator")
        commands.nself("billing", "sandbox", "trigger", "invoice.finalized")
        until_printed(commands, ("billing", "invoice", "list", "--status", "open"), "open")
        (invoice,) = [one["id"] for one in commands.json("billing", "invoice", "list", "--status", "open")]
        waiting = commands.json("billing", "invoice", "pdf-status", invoice)
        assert (waiting["state"], waiting["pdf_generator"]) == ("queued", "stopped")
        assert waiting["hint"] == ["nself restart pdf-generator"]
        assert invoice not in commands.nself(*LOGS)
        commands.nself("restart", "pdf-generator")
        commands.kill("pdf-generator")
        line = until_printed(commands, LOGS, invoice)
        assert "state=done" in line and "pdf-generator" in commands.nself("status", "pdf-generator")
        assert commands.json("billing", "invoice", "pdf-status", invoice)["state"] == "done"
        saved = commands.json("billing", "invoice", "download", invoice)
        assert Path(saved["file"]).read_bytes().startswith(b"%PDF-1.7") and Path(saved["file"]).parent == commands.root
        for words in (
            ("generate-pdf", "in_123", "--test"),
            ("regenerate-pdf", "in_123"),
            ("pdf-status", "in_123"),
            ("show-template",),
        ):
            assert commands.nself("billing", "invoice", *words)
        assert "No such invoice: in_none" not in commands.nself("billing", "invoice", "pdf-status", "in_none", code=1)
