"""One function a query of the API keys."""

from __future__ import annotations

from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.api_key.model import ListedApiKey, RevokedApiKey, StoredKey, Token

SQL = beside(__file__)


def add(tx: Tx, token: Token, name: str, scopes: list[str], user: str | None, secret_hash: bytes, at: datetime) -> bool:
    """False where the id is taken."""
    return (
        tx.value(
            SQL["add"],
            key_id=token.key_id,
            name=name,
            livemode=token.livemode,
            scopes=scopes,
            user=user,
            secret_hash=secret_hash,
            at=at,
        )
        is not None
    )


def find(tx: Tx, key_id: str) -> StoredKey | None:
    return tx.maybe(SQL["find"], StoredKey, key_id=key_id)


def mark_used(tx: Tx, key_id: str, at: datetime) -> None:
    tx.run(SQL["mark_used"], key_id=key_id, at=at)


def list_keys(tx: Tx, revoked: bool, after: str | None, limit: int) -> list[ListedApiKey]:
    return tx.all(SQL["list"], ListedApiKey, revoked=revoked, after=after, limit=limit)


def revoke(tx: Tx, key_id: str, at: datetime) -> RevokedApiKey | None:
    return tx.maybe(SQL["revoke"], RevokedApiKey, key_id=key_id, at=at)
