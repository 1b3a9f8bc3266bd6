"""Work in a process of its own that is killed before a chosen line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


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


def run_and_kill(files: set[str], line: int, work: Callable[[], object]) -> bool:
    """Whether `work` was killed before its `line`-th line in `files`; else it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sys.settrace(lines(files, line))
            work()
            code = 0
        finally:
            sys.settrace(None)
            os._exit(code)
    _, how = os.waitpid(child, 0)
    assert how in (0, signal.SIGKILL), how
    return how != 0
