"""Free loopback ports for servers that a test starts, a moment later, by number."""

from __future__ import annotations

import os
import random
import socket

FIRST, LAST = 10_000, 32_000  # below what Linux gives to outgoing connections, which would take a number in between
_slice = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 8
_width = (LAST - FIRST) // 8
_next = random.randrange(_width)


def free_port() -> int:
    """One that nobody listens on; the workers of a run draw from ranges of their own, each number once."""
    global _next
    while True:
        _next = (_next + 1) % _width
        with socket.socket() as link:
            try:
                link.bind(("127.0.0.1", FIRST + _slice * _width + _next))
            except OSError:
                continue
            return link.getsockname()[1]
