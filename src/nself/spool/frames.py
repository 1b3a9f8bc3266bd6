"""How a record lies in a segment (docs/decisions/0011): a header with its own checksum, then the payload. Pure."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

MAGIC = b"nSp1"
_FIELDS = struct.Struct(">4sIIQI")
_SUM = struct.Struct(">I")
SIZE = _FIELDS.size + _SUM.size
"""Bytes of a header."""
MAX_PAYLOAD = 2**32 - 1


class Wrong(Exception):
    """Bytes that no interrupted write can have left."""


class Header(NamedTuple):
    """`length` in bytes of the payload, `events` that it stands for, `at` in milliseconds since 1970, `checksum` of the payload."""

    length: int
    events: int
    at: int
    checksum: int


def pack(payload: bytes, events: int, at: int) -> bytes:
    fields = _FIELDS.pack(MAGIC, len(payload), events, at, zlib.crc32(payload))
    return fields + _SUM.pack(zlib.crc32(fields)) + payload


def header(data: bytes) -> Header | None:
    """The header that `data` begins with; None where `data` is only the beginning of one. Raises Wrong."""
    if not MAGIC.startswith(data[: len(MAGIC)]):
        raise Wrong("no record begins here")
    if len(data) < SIZE:
        return None
    if _SUM.unpack_from(data, _FIELDS.size)[0] != zlib.crc32(data[: _FIELDS.size]):
        raise Wrong("the header's checksum is wrong")
    return Header(*_FIELDS.unpack_from(data)[1:])


def require_whole(head: Header, payload: bytes) -> None:
    """Raises Wrong."""
    if zlib.crc32(payload) != head.checksum:
        raise Wrong("the record's checksum is wrong")


def next_whole(data: bytes, start: int) -> int:
    """Where in `data`, from `start` on, the next whole record begins, else the end of `data`."""
    while (start := data.find(MAGIC, start)) >= 0:
        try:
            head = header(data[start : start + SIZE])
            payload = data[start + SIZE : start + SIZE + head.length] if head else b""
            if head and len(payload) == head.length:
                require_whole(head, payload)
                return start
        except Wrong:
            pass
        start += 1
    return len(data)
