"""How long a command takes: help and settings under 100 ms, a database command under 250 ms; limit: `python -c pass`."""

from __future__ import annotations

import subprocess
import sys
import time

from common import NSELF, project, report

RUNS = 15


def fastest(*line: object) -> float:
    """Milliseconds of the fastest of RUNS, so that noise of other processes drops out."""
    times: list[float] = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run([str(part) for part in line], check=True, capture_output=True)
        times.append((time.perf_counter() - began) * 1000)
    return min(times)


def main() -> None:
    bare = fastest(sys.executable, "-c", "pass")
    with project() as made:
        made.nself("billing", "customer", "list")
        nself = (NSELF, "--project", made.folder)
        lines = [
            ("nself --help", 100, (*nself, "--help")),
            ("nself billing usage record --help", 100, (*nself, "billing", "usage", "record", "--help")),
            ("nself env get STRIPE_MODE", 100, (*nself, "env", "get", "STRIPE_MODE")),
            ("nself billing customer list", 250, (*nself, "billing", "customer", "list")),
            ("nself billing usage status", 250, (*nself, "billing", "usage", "status")),
        ]
        rows = [
            (
                f"`{name}`",
                f"{(took := fastest(*line)):.0f} ms",
                f"limit {limit} ms; {took / bare:.1f} x `python -c pass`",
            )
            for name, limit, line in lines
        ]
    report("Commands", [("`python -c pass`", f"{bare:.0f} ms", ""), *rows])


if __name__ == "__main__":
    main()
