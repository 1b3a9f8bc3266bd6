"""The loop of the services ends whenever it is asked to."""

from __future__ import annotations

import subprocess
import sys

ASK_AT_ANY_MOMENT = """
import os, random, signal, threading, time
from nself.worker.loop import Loop

def ask():
    time.sleep(random.random() / 2000)
    os.kill(os.getpid(), signal.SIGTERM)

for _ in range(400):
    loop = Loop(0.0)
    thread = threading.Thread(target=ask)
    thread.start()
    loop.run(lambda: 0)
    thread.join()
print("ended")
"""


def test_a_signal_at_any_moment_ends_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK_AT_ANY_MOMENT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "ended\n"
