"""How the spool fails."""

from __future__ import annotations

from nself.core.errors import Conflict, Unavailable


class BufferFull(Unavailable):
    code, guide = "buffer_full", "2.4"
    text = "The database takes no usage and the usage buffer is full: {detail}"
    hints = (
        "nself billing usage collector-status",
        "nself db test-connection",
        "nself env set USAGE_BUFFER_SIZE=100000",
        "nself restart billing",
    )


class BufferUnwritable(Unavailable):
    code, guide = "buffer_unwritable", "2.4"
    text = "The usage buffer cannot be written: {path}: {detail}"
    hints = ("nself billing usage collector-status", "nself db test-connection")


class BufferUnreadable(Unavailable):
    code, guide = "buffer_unreadable", "2.4"
    text = "The usage buffer cannot be read: {path}: {detail}"
    hints = ("nself billing usage collector-status",)


class BufferDamaged(Conflict):
    code, guide = "buffer_damaged", "2.4"
    text = "Segment {segment} of the usage buffer cannot be read at byte {offset}: {detail}; what lies behind it waits"
    hints = ("nself billing usage collector-skip", "nself billing usage collector-status")
