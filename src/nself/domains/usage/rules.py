"""Pure decisions of metering: what an event must look like, what makes two the same, how files are read."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import msgspec

from nself.core import period
from nself.core.errors import BillingError, InvalidInteger, InvalidParameter, MissingParameter, UnknownParameter
from nself.domains.catalog import formulas
from nself.domains.catalog.model import Metered, NoSuchMetric
from nself.domains.customer.rules import bad_name, is_name
from nself.domains.usage.errors import MAX_KEY, MAX_NAME, MAX_VALUE, BadKey, BadTime, UnreadableEvent, ValueOutOfRange
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.model import Delta, Row

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD = timedelta(minutes=5)
ACCESS = re.compile(
    r'(?P<host>\S+) \S+ (?P<who>\S+|"[^"]*") \[(?P<at>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<size>\d{1,19}|-)'
    r'(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?(?: .*)?',
    re.ASCII,
)
MONTHS = {name: at for at, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the JSON decoder raises: no JSON, no UTF-8, nested too deeply."""
_encode = msgspec.json.Encoder(order="deterministic").encode
_new_digest = blake2b(digest_size=16).copy  # in half the time of a new one
_quoted = msgspec.json.Encoder().encode
_decode_one = msgspec.json.Decoder(UsageEvent)
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
_decode_any = msgspec.json.Decoder().decode


def check(event: UsageEvent, metrics: Mapping[str, Metered], now: datetime, tz: ZoneInfo, fresh_key: str) -> Row:
    """A row to store. Raises one of this domain's or the catalog's Invalid errors or NoSuchMetric.

    `fresh_key` is used where the event brings none. The user is checked elsewhere.
    """
    metered = metrics.get(event.metric)
    if metered is None:
        raise NoSuchMetric(metric=event.metric[:MAX_NAME])
    if not 0 <= event.value <= MAX_VALUE:
        raise ValueOutOfRange(value=event.value)
    if not is_name(event.user):
        raise bad_name(event.user)
    key = event.key
    if key is not None and not (key and len(key) <= MAX_KEY and key.isprintable()):
        raise BadKey()
    instant, at = (now, _written(now)) if event.at is None else _time(event.at, now, tz)
    properties, dimensions = _properties(event) if event.properties else None, None
    if not metered.plain:
        dimensions = formulas.admit(event.metric, metered, instant, tz, event.value, event.properties or {})
    digest = _digest(f"{event.metric}\0{event.value}\0{at if event.at is not None else ''}\0{properties or ''}")
    return Row(event.user, event.metric, event.value, at, key or fresh_key, digest, properties, dimensions)


def _digest(content: str) -> bytes:
    found = _new_digest()
    found.update(content.encode("utf-8", "surrogatepass"))
    return found.digest()


def _written(at: datetime) -> str:
    """`at.isoformat()` of an instant in UTC, in a third of the time."""
    return _quoted(at)[1:-2].decode() + "+00:00"


def _properties(event: UsageEvent) -> str:
    try:
        return _encode(event.properties).decode()
    except RecursionError as error:
        raise UnreadableEvent(detail=str(error)) from None


def _time(text: str, now: datetime, tz: ZoneInfo) -> tuple[datetime, str]:
    """The instant, and as it is written. What begins as we write it needs no look at its form, which costs most."""
    try:
        at = datetime.fromisoformat(text)
        ours = _quoted(at)[1:-1].decode() if at.tzinfo is UTC else ""
    except ValueError:
        at, ours = now, ""
    if not ours or (text != ours and not (len(text) == 24 and text[:23] == ours[:23] and text[23] == "Z")):
        at = period.instant(text, tz)
        ours = _quoted(at)[1:-1].decode()
    if at < EARLIEST:
        raise BadTime(at=text[:40], detail="before 2000-01-01")
    if at > now and at > now + AHEAD:
        raise BadTime(at=text[:40], detail="more than 5 minutes in the future")
    return at, f"{ours[:-1]}+00:00"


def properties(text: str) -> dict[str, Any]:
    """A JSON object as it is written on a command line. Raises InvalidParameter."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (*UNREADABLE, UnicodeEncodeError) as error:
        raise InvalidParameter(f"Invalid properties: {error}", "properties") from None


def deltas(rows: Iterable[Row]) -> list[Delta]:
    """One for each user, metric and hour. Of two values at the same instant the larger is the last (queries.sql)."""
    found: dict[tuple[str, str, str], Delta] = {}
    for row in rows:
        place, value, at = (row.user, row.metric, row.at[:13]), row.value, row.at
        delta = found.get(place)
        if delta is None:
            found[place] = Delta(
                user=row.user, metric=row.metric, hour=f"{at[:13]}:00+00:00",
                events=1, total=value, largest=value, last_value=value, last_at=at,
            )  # fmt: skip
            continue
        delta.events += 1
        delta.total += value
        if value > delta.largest:
            delta.largest = value
        if at > delta.last_at or (at == delta.last_at and value > delta.last_value):
            delta.last_at, delta.last_value = at, value
    return list(found.values())


def decode(body: bytes | msgspec.Raw) -> UsageEvent:
    """One JSON event. Raises UnreadableEvent, InvalidInteger, MissingParameter or UnknownParameter."""
    try:
        return _decode_one.decode(body)
    except msgspec.ValidationError as error:
        raise _explained(error, body) from None
    except UNREADABLE as error:
        raise UnreadableEvent(detail=str(error)) from None


CONTEXT = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"}
"""Attributes of a CloudEvent that are no extensions."""


def cloud_event(body: bytes | msgspec.Raw, attributes: Mapping[str, str]) -> UsageEvent:
    """A CloudEvent 1.0: id is the key, subject the user, type the metric, time the time, data.value the value.

    Other data and extension attributes are properties; of two of one name the data's. With `attributes` (binary mode)
    the body is the data. Raises MissingParameter, InvalidInteger, UnreadableEvent.
    """
    found = _any(body)
    event = {**attributes, "data": found} if attributes else _object(found, "a CloudEvent")
    for name in ("specversion", "id", "source", "type", "subject", "data"):
        if event.get(name) is None:
            raise MissingParameter("data.value" if name == "data" else name)
    if event["specversion"] != "1.0":
        raise UnreadableEvent(detail="specversion is not 1.0")
    data = _object(event["data"], "data")
    if "value" not in data:
        raise MissingParameter("data.value")
    if type(data["value"]) is not int:
        raise InvalidInteger(_encode(data["value"]).decode()[:MAX_NAME], "data.value")
    extensions = {name: value for name, value in event.items() if name not in CONTEXT}
    properties = extensions | {name: value for name, value in data.items() if name != "value"}
    return UsageEvent(
        user=_string(event, "subject"),
        metric=_string(event, "type"),
        value=data["value"],
        at=None if event.get("time") is None else _string(event, "time"),
        key=_string(event, "id"),
        properties=properties or None,
    )


def _any(body: bytes | msgspec.Raw) -> Any:
    try:
        return _decode_any(body)
    except UNREADABLE as error:
        raise UnreadableEvent(detail=str(error)) from None


def _object(found: object, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise UnreadableEvent(detail=f"{what} is not an object")
    return cast("dict[str, Any]", found)


def _string(event: dict[str, Any], name: str) -> str:
    value = event[name]
    if not isinstance(value, str):
        raise UnreadableEvent(detail=f"{name} is not a string")
    return value


def _explained(error: msgspec.ValidationError, body: bytes | msgspec.Raw) -> Exception:
    """msgspec's complaint in Stripe's words."""
    text = str(error)
    if missing := re.search(r"missing required field `(\w+)`", text):
        return MissingParameter(missing[1])
    if unknown := re.search(r"unknown field `(.+)`", text):
        return UnknownParameter(unknown[1])
    if "$.value" in text:
        return InvalidInteger(_given(body, "value"), "value")
    return UnreadableEvent(detail=text)


def _given(body: bytes | msgspec.Raw, name: str) -> str:
    """The field as it was written."""
    try:
        return bytes(_raw.decode(body)[name])[:MAX_NAME].decode("utf-8", "replace")
    except UNREADABLE:  # what follows it is broken too
        return "?"


class Line(NamedTuple):
    """What one line of an access log says; `size` is None where the server sent nothing."""

    host: str
    at: str
    size: int | None


def access_line(line: str) -> Line | None:
    """Combined or common log format (httpd.apache.org/docs/2.4/logs.html), or None."""
    found = ACCESS.fullmatch(line)
    at = _access_time(found["at"]) if found else None
    if not found or at is None:
        return None
    return Line(found["host"], at, None if found["size"] == "-" else int(found["size"]))


def _access_time(text: str) -> str | None:
    """`17/May/2015:10:05:03 +0000` as RFC 3339."""
    found = re.fullmatch(r"(\d{2})/(\w{3})/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})", text)
    if not found or found[2] not in MONTHS:
        return None
    return f"{found[3]}-{MONTHS[found[2]]:02}-{found[1]}T{found[4]}{found[5]}:{found[6]}"


def about(text: str) -> tuple[str, str, str | None] | None:
    """User, metric and time (as it was written) of a rejected event; None where it cannot be read."""
    event = _read_event(text.encode())
    if event:
        return event.user, event.metric, event.at
    line = access_line(text)
    return (line.host, "", line.at) if line else None


def _read_event(body: bytes) -> UsageEvent | None:
    try:
        return decode(body)
    except BillingError:
        pass
    try:
        return cloud_event(body, {})
    except BillingError:
        return None


def line_key(first: str, offset: int, line: str, metric: str) -> str:
    """The idempotency key of one metric of a line.

    From the content and the position, so that the same file imported again, grown or packed gives the same keys,
    and two equal lines of one file give two.
    """
    return (
        "line:"
        + blake2b(f"{first}\0{offset}\0{line}\0{metric}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    )


def source_id(first: str) -> str:
    """Names the content that begins with the line `first`, whatever the file is called."""
    return "file:" + blake2b(first.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def csv_event(header: list[str], line: str) -> UsageEvent:
    """One CSV line under its header. Raises UnreadableEvent or InvalidInteger."""
    try:
        cells = next(csv.reader([line], strict=True))
    except (csv.Error, StopIteration) as error:
        raise UnreadableEvent(detail=str(error) or "empty line") from None
    if len(cells) != len(header):
        raise UnreadableEvent(detail=f"{len(cells)} columns where the header has {len(header)}")
    named = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
    for name in ("user", "metric", "value"):
        if name not in named:
            raise MissingParameter(name)
    value = named["value"]
    if not re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
        raise InvalidInteger(value, "value")
    extra = {name: cell for name, cell in named.items() if name not in ("user", "metric", "value", "at", "key")}
    return UsageEvent(
        user=named["user"],
        metric=named["metric"],
        value=int(value),
        at=named.get("at"),
        key=named.get("key"),
        properties=extra or None,
    )


def csv_header(line: str) -> list[str]:
    """The columns' names in lower case, without quotes."""
    try:
        return [name.strip().lower() for cells in csv.reader([line]) for name in cells]
    except csv.Error:
        return []


def guess_format(name: str, first: str) -> str | None:
    """The format of a file from its name and first line, or None."""
    bare = name.lower().removesuffix(".gz")
    if bare.endswith(".csv"):
        return "csv"
    if bare.endswith((".ndjson", ".jsonl")) or first.lstrip().startswith("{"):
        return "ndjson"
    if access_line(first):
        return "access"
    return "csv" if set(csv_header(first)) >= {"user", "metric", "value"} else None


def aligned(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The whole UTC hours inside `[start, end)`; what lies at the edges is read from raw events."""
    floor = start.replace(minute=0, second=0, microsecond=0)
    first = floor if floor == start else floor + timedelta(hours=1)
    last = max(first, end.replace(minute=0, second=0, microsecond=0))
    return first, last


MARK = "@"
DRAWN = re.compile(MARK + r"[0-9a-f]{32}(:\d+)?|rejected:\d+:0")
"""Keys that were drawn here, for events that came without one. Many senders draw a UUID too: the mark tells them apart."""


def drawn(key: str) -> bool:
    """Whether the sender did not say by a key of its own that this event is another."""
    return DRAWN.fullmatch(key) is not None


SLOW = timedelta(seconds=3)
SLOW_RATE = 100
"""Deltas a second; a fold makes more than ten thousand."""


def slow(deltas: int, took: timedelta) -> bool:
    """Whether a fold took so long that its statements were slow, not its work much."""
    return took >= SLOW and deltas * timedelta(seconds=1) < SLOW_RATE * took


def folded(result: str) -> int:
    """How many deltas the result of an aggregation names."""
    found = re.match(r"(\d+) deltas", result)
    return int(found[1]) if found else 0


def told(span: timedelta) -> str:
    """`30 days`, `5 min`, `2 s`: the whole units of the largest that there is."""
    for name, unit in (("days", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1))):
        if span >= unit:
            return f"{span // unit} {name}"
    return f"{span.total_seconds():g} s"
