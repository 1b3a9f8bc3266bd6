"""Bodies and errors on the wire, and what a request is known by."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import count
from math import ceil
from typing import Any, TypeVar, cast
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from nself import log
from nself.core.entrypoint import Attached
from nself.core.errors import (
    BillingError,
    Invalid,
    InvalidInteger,
    InvalidParameter,
    MissingParameter,
    UnknownParameter,
    plain,
)
from nself.db.connect import unavailable
from nself.domains.api_key.model import TooManyRequests

RETRY_SECONDS = 5
SHOWN = 255  # characters of a wrong value that are repeated
S = TypeVar("S", bound=msgspec.Struct)
_process, _number = os.urandom(8).hex(), count(1)
_encode = msgspec.json.Encoder(decimal_format="string").encode


GZIP, COMPRESSED = b"\x1f\x8b", "the body is compressed; send it plain"


class BodyTooLarge(Invalid):
    status = 413
    code = "body_too_large"
    text = "The request body is larger than {limit} bytes"
    hints = ("nself env get API_MAX_BODY",)


class NotHttp(Invalid):
    code = "invalid_http"
    text = "Invalid HTTP request: its lines or its framing cannot be read"


class NotJson(Invalid):
    code = "invalid_json"
    text = "Invalid JSON: {detail}"


Headers = Iterable[tuple[bytes, bytes]]
"""Names in lower case."""


def declared(headers: Headers) -> int:
    """Bytes of the body, where they are told before it comes, else 0."""
    return max((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), default=0)


def new_request_id() -> str:
    """Unique: of this process, then counted."""
    return f"req_{_process}{next(_number):08x}"


def body(result: object, request_id: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`result` as JSON."""
    return Response(_encode(result), status, {"Request-Id": request_id, **(headers or {})}, "application/json")


def file(found: Attached, request_id: str) -> Response:
    """A file as it is, under its name (RFC 6266)."""
    headers = {"Request-Id": request_id, "Content-Disposition": f"inline; filename*=UTF-8''{quote(found.name)}"}
    return Response(found.content, 200, {**headers, "X-Content-Type-Options": "nosniff"}, found.mime)


async def read_body(request: Request, limit: int) -> bytes:
    """The body, at most `limit` bytes. Raises BodyTooLarge before more than that is held, at once where more is declared."""
    parts, size = list[bytes](), 0
    if declared(request.headers.raw) > limit:
        raise BodyTooLarge(limit=limit)
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit=limit)
        parts.append(part)
    return b"".join(parts)


def foreseen(error: Exception) -> BillingError | None:
    """`error` where it is one that is told as it is; the driver's are where the database went away or took too long."""
    return error if isinstance(error, BillingError) else unavailable(error)


def failure(error: Exception, request_id: str) -> Response:
    """Any failure; what was not foreseen is logged with its traceback and told as 500 without details."""
    error = foreseen(error) or error
    if not isinstance(error, BillingError):
        log.logger.error("request_failed", exc_info=error, extra={"fields": {"request_id": request_id}})
        error = BillingError(detail=f"Something went wrong here; the log has the details under {request_id}")
    if error.code == "database_timeout":
        log.warning("timeout", code=error.code, error=error.message, request_id=request_id)
    headers: dict[str, str] = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, TooManyRequests):
        headers["Retry-After"] = str(error.fields["seconds"])
    if error.status == 503:
        known: float | None = getattr(error, "retry_after", None)
        headers["Retry-After"] = str(RETRY_SECONDS if known is None else max(1, ceil(known)))
    return body(error.body(request_id), request_id, error.status, headers)


def as_json(body: bytes) -> object:
    """Raises NotJson."""
    try:
        return msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(body, error) from None


def not_json(body: bytes, error: Exception) -> NotJson:
    """What is wrong with a body that no decoder reads."""
    return NotJson(detail=COMPRESSED if body.startswith(GZIP) else error)


def as_input(given: object, struct: type[S], *, strict: bool) -> S:
    """`strict`: a text is no number. Raises what is wrong with the input."""
    try:
        made = msgspec.convert(given, struct, strict=strict)
    except msgspec.ValidationError as error:
        raise explained(error, given, struct) from None
    return without_nul(made)


def _choices(struct: type[msgspec.Struct], name: str) -> list[str]:
    """What a field may be, where that is a list of words."""
    field: dict[str, Any] = msgspec.json.schema(struct)["$defs"][struct.__name__]["properties"][name]
    kinds: list[dict[str, Any]] = [field, *field.get("anyOf", ())]
    return next((one["enum"] for one in kinds if "enum" in one), list[str]())


def without_nul(made: S) -> S:
    """PostgreSQL has no such text. Raises InvalidParameter."""
    for name, value in msgspec.structs.asdict(made).items():
        if isinstance(value, str) and "\0" in value:
            raise InvalidParameter(f"Invalid {name}: it holds a NUL", name)
    return made


def explained(error: msgspec.ValidationError, given: object, struct: type[msgspec.Struct]) -> BillingError:
    """msgspec's complaint about a body or query in Stripe's words."""
    text = str(error)
    if missing := re.search(r"missing required field `(\w+)`", text):
        return MissingParameter(missing[1])
    if unknown := re.search(r"unknown field `(.+)`", text):
        return UnknownParameter(log.redact(unknown[1]))
    place = re.search(r"`\$\.(\w+)`", text)
    name = place[1] if place else None
    if name and "Expected `int" in text and "got" in text and isinstance(given, dict):
        value = cast("dict[str, object]", given).get(name)
        return InvalidInteger(log.redact((value if isinstance(value, str) else _encode(value).decode())[:SHOWN]), name)
    if name and text.startswith("Invalid enum value") and (choices := _choices(struct, name)):
        return InvalidParameter(f"Invalid {name}: {text.split()[3]} is none of {', '.join(choices)}", name)
    return InvalidParameter(f"Invalid {name}: {plain(text.partition(' - at `')[0])}" if name else text, name)
