"""Reads and changes the sandbox (service stripe-mock) through its admin routes: JSON over the loopback."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from nself.domains.sandbox.model import SandboxAway, SandboxRefused

SECONDS = 120.0
"""Longest wait for one answer: setting the clock forward by years takes its time."""
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Answer = dict[str, Any]


def admin(port: int, method: str, route: str, body: object = None) -> Answer:
    """The answer of `method /_sandbox/{route}`. Raises SandboxAway, SandboxRefused."""
    data = None if body is None else json.dumps(body).encode()
    return _ask(urllib.request.Request(f"http://127.0.0.1:{port}/_sandbox/{route}", data, method=method), port)


def _ask(request: urllib.request.Request, port: int) -> Answer:
    try:
        with _direct.open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise SandboxRefused(detail=_message(refused)) from None
    except OSError as error:
        raise SandboxAway(port=port, detail=getattr(error, "reason", error)) from error


def _message(refused: urllib.error.HTTPError) -> str:
    """The sandbox's own words."""
    try:
        return str(json.load(refused)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {refused.code}"
