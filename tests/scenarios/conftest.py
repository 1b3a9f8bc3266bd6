"""Scenarios use the bench of the money tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
pytest.register_assert_rewrite("money_bench", "money_processes")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Fresh seeds are told also where all went well."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "CONVERGENCE_SEED" and report.when == "call":
                terminalreporter.write_line(f"{name}={value} {report.nodeid}")
