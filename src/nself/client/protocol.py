"""What is sent and what an answer means. No I/O: the same for every way of sending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from nself.client.errors import UnreadableAnswer, told
from nself.client.model import Decision
from nself.core.errors import BillingError, InvalidParameter

USAGE = "/api/v1/usage"
QUOTA = "/api/v1/quota/"
COMMIT = b'{"reservation":'
"""How a commit begins in the buffer; everything else there is an event."""
NOT_ABOUT_THE_EVENTS = {401, 403, 405, 406, 407, 408, 425}
"""Statuses below 500 that another key, address or time changes: what was sent is kept, and sent again later."""
TOO_LARGE = 413
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 3600.0
FIRST_WAIT = 0.5
_encode = msgspec.json.Encoder().encode


class Request(NamedTuple):
    """A POST of JSON."""

    path: str
    body: bytes


class Answer(NamedTuple):
    """Header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Reason(msgspec.Struct, frozen=True):
    """Why the event at `index` was refused."""

    index: int
    code: str
    message: str


class Settled(NamedTuple):
    """The service took all, or said why it will never take some."""

    accepted: int = 0
    duplicate: int = 0
    rejected: Sequence[Reason] = ()


class Later(NamedTuple):
    """Send the same again, not before `wait` seconds where the service said so."""

    error: BillingError
    wait: float | None = None


class Refused(NamedTuple):
    """The request as a whole, for what is in it: send less at once, and one event alone never again."""

    error: BillingError


Outcome = Settled | Later | Refused


class _Intake(msgspec.Struct, frozen=True):
    accepted: int
    duplicate: int
    rejected: list[Reason]


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: list[str] = []
    request_id: str | None = None
    param: str | None = None


class _Failure(msgspec.Struct, frozen=True):
    error: _Error


_intake = msgspec.json.Decoder(_Intake).decode
_failure = msgspec.json.Decoder(_Failure).decode
_decision = msgspec.json.Decoder(Decision).decode


def record(event: msgspec.Struct | dict[str, Any]) -> bytes:
    """Its JSON. Raises InvalidParameter where a property is none."""
    try:
        return _encode(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidParameter(f"Invalid properties: {error}", "properties") from None


def alike(payloads: Sequence[bytes]) -> int:
    """How many of them, from the first on, go in one request: events together, a commit alone."""
    for at, payload in enumerate(payloads):
        if payload.startswith(COMMIT):
            return max(at, 1)
    return len(payloads)


def delivery(payloads: Sequence[bytes]) -> Request:
    """The request for what `alike` let through."""
    if payloads[0].startswith(COMMIT):
        return Request(f"{QUOTA}commit", payloads[0])
    return Request(USAGE, b"[%b]" % b",".join(payloads))


def outcome(request: Request, count: int, answer: Answer) -> Outcome:
    """What an answer to a delivery of `count` records means for them."""
    if answer.status >= 500 or answer.status in NOT_ABOUT_THE_EVENTS:
        return Later(failure(answer), retry_after(answer.headers))
    if request.path == USAGE:
        return _usage(answer, count)
    try:
        decided = decision(answer)
    except UnreadableAnswer as error:
        return Later(error)
    except BillingError as error:
        return _refused(answer, error)
    if not decided.allowed:
        return Settled(rejected=[Reason(0, "quota_exceeded", decided.note or "The limit has no room for it")])
    return Settled(accepted=1)


def _usage(answer: Answer, count: int) -> Outcome:
    if answer.status != 200:
        return _refused(answer, failure(answer))
    try:
        found = _intake(answer.body)
    except msgspec.DecodeError as error:
        return Later(UnreadableAnswer(status=answer.status, detail=error))
    places = {one.index for one in found.rejected}
    if found.accepted + found.duplicate + len(places) != count or not places <= set(range(count)):
        return Later(UnreadableAnswer(status=answer.status, detail=f"it does not add up to {count} events"))
    return Settled(found.accepted, found.duplicate, found.rejected)


def _refused(answer: Answer, error: BillingError) -> Outcome:
    """404 is told of a reservation, but of an address that is wrong too: only the service's own words end an event.

    Except what is too large: that may be said by a proxy between.
    """
    strange = isinstance(error, UnreadableAnswer) and answer.status != TOO_LARGE
    if strange or error.code == "no_such_route" or answer.status == 429 or not 400 <= answer.status < 500:
        return Later(error, retry_after(answer.headers))
    return Refused(error)


def question(name: str, **fields: object) -> Request:
    """A quota call: check, reserve, commit or release. Raises as `record`."""
    return Request(f"{QUOTA}{name}", record({key: value for key, value in fields.items() if value is not None}))


def decision(answer: Answer) -> Decision:
    """Allowed or not. Raises the service's error, or UnreadableAnswer."""
    if answer.status not in (200, 429):
        raise failure(answer)
    try:
        found = _decision(answer.body)
    except msgspec.DecodeError:
        raise failure(answer) from None
    return msgspec.structs.replace(found, retry_after=None if found.allowed else retry_after(answer.headers))


def failure(answer: Answer) -> BillingError:
    """The error in an answer; UnreadableAnswer where it is not the service's."""
    try:
        found = _failure(answer.body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = answer.body[:200].decode("utf-8", "replace").strip() or "nothing"
        return UnreadableAnswer(status=answer.status, detail=detail)
    return told(answer.status, found.code, found.message, found.hint, found.request_id, found.param)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; a date is compared with the sender's own clock, which the answer tells too."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        if text.isascii() and text.isdigit():
            seconds = float(text)
        else:
            from email.utils import parsedate_to_datetime  # half of what the client costs to import

            seconds = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["date"])).total_seconds()
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def pause(failures: int, wait: float | None, luck: float, first: float = FIRST_WAIT) -> float:
    """Seconds before the next try after so many failures: twice as long each time, up to a minute, by `luck` (0 to 1)
    between a half and the whole of it; never less than the service asked for.
    """
    longest = min(first * 2 ** min(failures - 1, 20), LONGEST_WAIT)
    return max(longest * (0.5 + luck * 0.5), wait or 0.0)


def as_event(payload: bytes) -> dict[str, Any]:
    """What a record was, for the list of what was rejected."""
    return msgspec.json.decode(payload, type=dict[str, Any])
