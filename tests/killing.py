"""Work in a process of its own that is killed before a chosen line."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

STUCK = 300
"""Seconds."""


def lines(files: set[str], stop_at: int) -> Callable[[FrameType, str, Any], Any]:
    """A tracer that kills this process before the line number `stop_at` of those that run in the product's `files`."""
    count = 0

    def trace(frame: FrameType, what: str, _: Any) -> Any:
        nonlocal count
        if os.path.basename(frame.f_code.co_filename) not in files or "nself" not in frame.f_code.co_filename:
            return None
        if what == "line":
            count += 1
            if count == stop_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def forked(work: Callable[[], object]) -> int:
    """Process id of a child that does `work` and ends with 0. One that hangs ends by itself and says where it stood."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            faulthandler.dump_traceback_later(STUCK, exit=True)
            work()
            code = 0
        finally:
            sys.settrace(None)
            os._exit(code)
    return child


def run_and_kill(files: set[str], line: int, work: Callable[[], object]) -> bool:
    """Whether `work` was killed before its `line`-th line in `files`; else it ended."""

    def traced() -> None:
        sys.settrace(lines(files, line))
        work()

    _, how = os.waitpid(forked(traced), 0)
    assert how in (0, signal.SIGKILL), how
    return how != 0
