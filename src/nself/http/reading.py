"""Bodies of the ingest route as usage events: JSON, NDJSON, CloudEvents.

A whole array is decoded at once; only where that fails each event is looked at by itself, so that it fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import unquote

import msgspec

from nself.core.errors import BillingError
from nself.domains.usage import rules
from nself.domains.usage.errors import UnreadableEvent
from nself.domains.usage.inputs import UsageEvent
from nself.domains.usage.rules import UNREADABLE
from nself.domains.usage.service.record import Given
from nself.http import answer
from nself.http.hot import Headers

NDJSON = "application/x-ndjson"
CLOUD_EVENT = "application/cloudevents+json"
CLOUD_EVENTS = "application/cloudevents-batch+json"
_array = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(msgspec.Raw)
_typed_array = msgspec.json.Decoder(list[UsageEvent])
_typed = msgspec.json.Decoder(UsageEvent)


class Sent(msgspec.Struct, gc=False):
    """The events of one request; where they were decoded already, also the body."""

    events: Sequence[Given]
    body: bytes = b""
    array: bool = False
    found: Sequence[msgspec.Raw] = ()

    def written(self, at: int) -> Given:
        """Event `at` as it came: its text is looked for only when somebody asks for it."""
        if not self.body:
            return self.events[at]
        self.found = self.found or _raw(self.body, self.array)
        return self.found[at]


class _Whose(msgspec.Struct):
    user: str


_whose = msgspec.json.Decoder(_Whose)


def users(events: Sequence[Given]) -> Iterator[str]:
    """Whose usage it is; events that cannot be read have nobody and are not counted either."""
    for event in events:
        if isinstance(event, UsageEvent):
            yield event.user
        elif isinstance(event, msgspec.Raw):
            with suppress(*UNREADABLE):
                yield _whose.decode(event).user


def reader(headers: Headers) -> Callable[[bytes], Sent]:
    """What reads bodies below such headers. It raises NotJson where nothing can be read."""
    named = dict(headers)
    kind = named.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if kind.startswith("application/cloudevents") or b"ce-specversion" in named:
        return lambda body: Sent(_told(_cloud_events, body, kind, named))
    if kind == NDJSON:
        return lambda body: Sent(_told(_lines, body))
    return _json


def _json(body: bytes) -> Sent:
    array = body.lstrip()[:1] == b"["
    try:
        events: list[Given] = [*_typed_array.decode(body)] if array else [_typed.decode(body)]
    except UNREADABLE:
        return Sent(_told(_raw, body, array))
    return Sent(events, body, array)


def _told(read: Callable[..., Sequence[Given]], body: bytes, *given: object) -> Sequence[Given]:
    try:
        return read(body, *given)
    except UNREADABLE as error:
        raise answer.not_json(body, error) from None


def _raw(body: bytes, array: bool) -> Sequence[msgspec.Raw]:
    """Events as they came, each still to be decoded."""
    return _array.decode(body) if array else [_one.decode(body)]


def _lines(body: bytes) -> Sequence[Given]:
    """NDJSON: a line that is no JSON is refused alone, unless no line is. Raises what the decoder raises."""
    lines = [line for line in body.splitlines() if line.strip()]
    found: list[Given] = []
    for line in lines:
        try:
            found.append(_one.decode(line))
        except UNREADABLE as error:
            found.append(UnreadableEvent(detail=str(error), line=line.decode("utf-8", "replace")))
    if not any(isinstance(one, msgspec.Raw) for one in found):
        _one.decode(lines[0] if lines else b"")
    return found


def _cloud_events(body: bytes, kind: str, headers: dict[bytes, bytes]) -> Sequence[Given]:
    """CloudEvents 1.0, structured, batched or binary. Raises what the decoder raises, NotJson."""
    if kind == CLOUD_EVENTS:
        return [_cloud_event(one, {}) for one in _array.decode(body)]
    if kind == CLOUD_EVENT:
        return [_cloud_event(_one.decode(body), {})]
    if kind.startswith("application/cloudevents"):
        raise answer.NotJson(detail=f"{kind[:100]} is not read; send {CLOUD_EVENT} or {CLOUD_EVENTS}")
    attributes = {
        name[3:].decode("latin-1"): unquote(value.decode("utf-8", "replace"))
        for name, value in headers.items()
        if name.startswith(b"ce-")
    }
    return [_cloud_event(_one.decode(body), attributes)]


def _cloud_event(body: msgspec.Raw, attributes: dict[str, str]) -> Given:
    """`attributes` where they came as headers and the body is the data. What is refused keeps the body as it came."""
    try:
        return rules.cloud_event(body, attributes)
    except BillingError as error:
        error.fields["line"] = bytes(body).decode("utf-8", "replace")
        return error
