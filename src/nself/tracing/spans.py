"""What a measurement is as a span. Pure."""

from __future__ import annotations

import re
from hashlib import sha256
from random import getrandbits
from typing import NamedTuple

from nself.core import acting
from nself.measure import LABELS, Name

TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""W3C Trace Context."""
ATTRIBUTES = {"method": "http.request.method", "route": "http.route", "status": "http.response.status_code"}
"""OpenTelemetry's names of labels; others stand behind `nself.`."""
TASKS: tuple[Name, ...] = ("http_request", "job", "webhook", "mail", "pdf")
TRACED: tuple[Name, ...] = (*TASKS, "stripe_request")


def trace_of(task: str) -> int:
    """Whoever knows the id of a request, job, event, mail or invoice finds the trace."""
    return int.from_bytes(sha256(task.encode()).digest()[:16])


def caller(traceparent: str | None) -> acting.Caller | None:
    """What the header says; None where it is missing or wrong, as the standard asks for."""
    found = TRACEPARENT.fullmatch(traceparent or "")
    if not found or not (trace := int(found[1], 16)) or not (span := int(found[2], 16)):
        return None
    return acting.Caller(trace, span, sampled=bool(int(found[3], 16) & 1))


class Place(NamedTuple):
    """Where a span belongs: its trace, its own id, the span around it."""

    trace: int
    span: int
    parent: int | None


def place(name: Name, task: acting.Task | None) -> Place:
    """A task's span is known from its beginning on, so that what is measured within it can name it."""
    if task is None:
        return Place(getrandbits(128) or 1, getrandbits(64) or 1, None)
    trace, around = (task.caller.trace, task.caller.span) if task.caller else (trace_of(task.id), None)
    return Place(trace, task.span, around) if name in TASKS else Place(trace, getrandbits(64) or 1, task.span)


def told(name: Name, values: tuple[str, ...]) -> dict[str, str]:
    """Labels by their names; methods in capitals."""
    labels = dict(zip(LABELS[name], values, strict=True))
    return labels | ({"method": labels["method"].upper()} if "method" in labels else {})


def title(name: Name, labels: dict[str, str]) -> str:
    what = [value for one, value in labels.items() if one not in ("outcome", "status")]
    return " ".join(what if name == "http_request" else (name.removesuffix("_request"), *what))


def failed(labels: dict[str, str]) -> bool:
    """By our own fault or Stripe's; what a caller did wrong is no failure of a request."""
    return labels.get("outcome", "ok") != "ok" or labels.get("status", "200") >= "500"


def attributes(labels: dict[str, str], task: acting.Task | None, times: int) -> dict[str, str | int]:
    """Labels and the task's id: nothing of a user, and no secret."""
    found: dict[str, str | int] = {
        ATTRIBUTES.get(name, f"nself.{name}"): int(value) if name == "status" else value
        for name, value in labels.items()
    }
    if task:
        found["nself.task"] = task.id
    if times > 1:
        found["nself.count"] = times
    return found
