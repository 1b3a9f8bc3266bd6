"""Small programs that stand in for the services, started through the same table as the real ones.

`serve PORT` listens, `work` only lives, `fail` ends at once, `tire` when it has run for longer than supervisord counts as failing. They write JSON lines; on SIGTERM they work on
for BILLING_STANDIN_DRAIN seconds, tell that they are done, and end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import FrameType


def say(message: str, level: str = "info", **fields: object) -> None:
    line = {
        "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "level": level,
        "service": os.environ["NSELF_SERVICE"],
    }
    # A killed supervisord leaves nobody to read: a service drains all the same.
    with suppress(OSError):
        print(json.dumps({**line, "message": message, **fields}), flush=True)


def finish(_signal: int, _frame: FrameType | None) -> None:
    say("draining")
    time.sleep(float(os.environ.get("BILLING_STANDIN_DRAIN", "0")))
    say("drained")
    os._exit(0)


def serve(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        say("listening", port=port)
        while True:
            server.accept()[0].close()


def chatter() -> None:
    """Many lines, so that the log rotates."""
    count = 0
    while True:
        say("tick", number=count, padding="x" * 200)
        count += 1
        time.sleep(0.0002)


def main() -> None:
    signal.signal(signal.SIGTERM, finish)
    names = ("BILLING_LOG_LEVEL", "STRIPE_SECRET_KEY", "CALLERS_SECRET")
    say("started", parent=os.getppid(), **{name: os.environ.get(name) for name in names})
    match sys.argv[1]:
        case "serve":
            serve(int(sys.argv[2]))
        case "chatter":
            threading.Thread(target=chatter, daemon=True).start()
        case "tire":
            time.sleep(1.3)
            say("cannot work", level="error")
            sys.exit(1)
        case "fail":
            say("cannot work", level="error")
            sys.exit(1)
        case _:
            pass
    while True:
        time.sleep(3600)


main()
