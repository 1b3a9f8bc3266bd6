"""The client of `nself billing`: usage through a durable buffer, quotas, typed answers (docs/client.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nself.client.client import Client, Reservation
from nself.client.errors import (
    BufferFull,
    BufferUnwritable,
    ClientClosed,
    QuotaExceeded,
    ServiceUnreachable,
    UnreadableAnswer,
)
from nself.client.model import Decision, Rejected, Status
from nself.core.errors import BillingError, Conflict, Denied, Invalid, NotFound, Unavailable

if TYPE_CHECKING:
    from nself.client.aio import AsyncClient

__all__ = [
    "AsyncClient",
    "BillingError",
    "BufferFull",
    "BufferUnwritable",
    "Client",
    "ClientClosed",
    "Conflict",
    "Decision",
    "Denied",
    "Invalid",
    "NotFound",
    "QuotaExceeded",
    "Rejected",
    "Reservation",
    "ServiceUnreachable",
    "Status",
    "Unavailable",
    "UnreadableAnswer",
]


def __getattr__(name: str) -> object:
    """asyncio is loaded only where it is asked for."""
    if name == "AsyncClient":
        from nself.client.aio import AsyncClient

        return AsyncClient
    raise AttributeError(name)
