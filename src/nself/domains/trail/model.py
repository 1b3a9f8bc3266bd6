"""Nouns and errors of the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from nself.core.errors import Conflict, Denied, Unavailable

Phase = Literal["begun", "done", "failed"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two of a deed, which share `entry`. `outcome` is the code of what it failed with."""

    entry: str
    phase: Phase
    at: datetime
    actor: str
    host: str
    command: str
    outcome: str = ""


class Chained(Entry, frozen=True, kw_only=True):
    """`hash` is sha256 of `previous`, the hash of the entry before it, and of everything else."""

    number: int
    incident: str
    previous: bytes
    hash: bytes


class Head(NamedTuple):
    """The end of the chain."""

    number: int
    hash: bytes


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `audit log`. `outcome`: done, failed with its code, or `no end`: it runs, or was killed."""

    number: int
    at: datetime
    actor: str
    host: str
    command: str
    outcome: str
    incident: str
    ended_at: datetime | None


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """Result of `audit log --verify`. `head` kept elsewhere tells also of a chain that was made anew as a whole."""

    entries: int
    head: str
    result: str


class AuditLogBroken(Conflict):
    code = "audit_log_broken"
    text = "The audit log was changed: {detail}"
    hints = ("nself billing audit log --since 30d", "nself logs billing --since 30d")


class AuditLogNotWritten(Unavailable):
    code = "audit_log_not_written"
    text = "Nothing was done: it cannot be written into the audit log ({detail})"
    hints = ("nself db status",)


class NotConfirmed(Denied):
    code, guide = "operator_not_confirmed", "Emergency 3"
    text = "Nothing was done: {command} moves money, and STRIPE_REQUIRE_2FA has the operator confirm it (without a terminal: NSELF_CONFIRM=yes)"
    hints = ("nself env get STRIPE_REQUIRE_2FA",)
