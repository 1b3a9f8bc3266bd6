"""Reads and changes the sandbox (service stripe-mock) through its admin routes: JSON over the loopback. Reads fixtures."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from nself.domains.sandbox.model import (
    BadFixture,
    NotInSandbox,
    SandboxAway,
    SandboxConflict,
    SandboxDeclined,
    SandboxRefused,
)

SECONDS, JOURNEY = 120.0, 1800.0
"""Longest wait for an answer; setting the clock forward by years takes its time."""
PAUSE = 0.1
_REFUSALS = {402: SandboxDeclined, 404: NotInSandbox, 409: SandboxConflict}
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
Answer = dict[str, Any]


def admin(port: int, method: str, route: str, body: object = None) -> Answer:
    """The answer of `method /_sandbox/{route}`. Raises SandboxAway, and what the sandbox refuses."""
    data = None if body is None else json.dumps(body).encode()
    seconds = JOURNEY if (method, route) == ("POST", "clock") else SECONDS
    request = urllib.request.Request(f"http://127.0.0.1:{port}/_sandbox/{route}", data, method=method)
    return _ask(request, port, seconds)


def _ask(request: urllib.request.Request, port: int, seconds: float) -> Answer:
    try:
        with _direct.open(request, timeout=seconds) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise _REFUSALS.get(refused.code, SandboxRefused)(detail=_message(refused)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise SandboxAway(port=port, detail=getattr(error, "reason", error)) from error


def _message(refused: urllib.error.HTTPError) -> str:
    """The sandbox's own words."""
    try:
        return str(json.load(refused)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {refused.code}"


def pause() -> None:
    """Between two looks at the sandbox."""
    time.sleep(PAUSE)


def lives(process: int) -> bool:
    """Whether there is a process of this id on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def fixture(path: Path, name: str) -> object:
    """What a JSON file holds. Raises BadFixture, which says `name`."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFixture(detail=f"{name}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise BadFixture(detail=f"{name}: line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise BadFixture(detail=f"{name}: {error}") from error
