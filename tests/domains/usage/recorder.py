"""A process of its own that records: `recorder.py FOLDER SEED USER…` sends all keys of all users in an order of its own."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from nself.app import App
from nself.config import find_project
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.service import record
from nself.registry import Registry

KEYS = 60
BATCH = 25


def send_all(app: App, seed: int, users: list[str]) -> int:
    """Number of events that were counted by this sender."""
    events = [
        UsageEvent(user=user, metric="calls", value=at, key=f"key{at}", at=f"2026-02-{1 + at % 9:02}T10:00:00Z")
        for user in users
        for at in range(KEYS)
    ]
    random.Random(seed).shuffle(events)
    counted = 0
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        outcome = record.ingest(app, batch, f"sender{seed}")
        assert not outcome.refused, outcome.refused
        counted += len(batch) - len(outcome.duplicates)
    return counted


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    app = App(find_project(str(folder), {}, folder), Registry(), environ=os.environ)
    print("ready", flush=True)
    sys.stdin.readline()
    print(send_all(app, int(sys.argv[2]), sys.argv[3:]))
    app.close()
