"""One function a query of operators' accounts."""

from __future__ import annotations

from datetime import datetime

from nself.db.connect import Tx
from nself.db.queries import beside
from nself.domains.operator.model import Account, ListedOperator, Session

SQL = beside(__file__)


def add(tx: Tx, name: str, role: str, at: datetime) -> bool:
    """False where the name is taken."""
    return tx.value(SQL["add"], name=name.lower(), role=role, at=at) is not None


def account(tx: Tx, name: str) -> Account | None:
    return tx.maybe(SQL["account"], Account, name=name.lower())


def hold(tx: Tx, name: str) -> Account | None:
    return tx.maybe(SQL["hold"], Account, name=name.lower())


def add_link(tx: Tx, name: str, hash: bytes, expires_at: datetime) -> None:
    tx.run(SQL["add_link"], name=name.lower(), hash=hash, expires_at=expires_at)


def linked(tx: Tx, hash: bytes, at: datetime) -> str | None:
    return tx.value(SQL["linked"], hash=hash, at=at)


def use_link(tx: Tx, hash: bytes, at: datetime) -> str | None:
    """Whose it was; None where it is over."""
    return tx.value(SQL["use_link"], hash=hash, at=at)


def enrol(tx: Tx, name: str, password: bytes, totp: str, step: int) -> None:
    tx.run(SQL["enrol"], name=name.lower(), password=password, totp=totp, step=step)


def fail(tx: Tx, name: str, at: datetime) -> None:
    tx.run(SQL["fail"], name=name.lower(), at=at)


def signed_in(tx: Tx, name: str, step: int, at: datetime) -> None:
    tx.run(SQL["signed_in"], name=name.lower(), step=step, at=at)


def took_code(tx: Tx, name: str, step: int) -> None:
    tx.run(SQL["took_code"], name=name.lower(), step=step)


def add_session(tx: Tx, hash: bytes, name: str, csrf: str, address: str, at: datetime, expires_at: datetime) -> None:
    tx.run(SQL["add_session"], hash=hash, name=name.lower(), csrf=csrf, address=address, at=at, expires_at=expires_at)


def session(tx: Tx, hash: bytes, at: datetime, idle: datetime) -> Session | None:
    return tx.maybe(SQL["session"], Session, hash=hash, at=at, idle=idle)


def seen(tx: Tx, hash: bytes, at: datetime, due: datetime) -> None:
    tx.run(SQL["seen"], hash=hash, at=at, due=due)


def end_session(tx: Tx, hash: bytes) -> None:
    tx.run(SQL["end_session"], hash=hash)


def end_sessions(tx: Tx, name: str) -> int:
    return int(tx.value(SQL["end_sessions"], name=name.lower()) or 0)


def list_all(tx: Tx, at: datetime, idle: datetime) -> list[ListedOperator]:
    return tx.all(SQL["list"], ListedOperator, at=at, idle=idle)


def other_owners(tx: Tx, name: str) -> int:
    return int(tx.value(SQL["other_owners"], name=name.lower()) or 0)


def set_role(tx: Tx, name: str, role: str) -> bool:
    return tx.value(SQL["set_role"], name=name.lower(), role=role) is not None


def remove(tx: Tx, name: str) -> str | None:
    """The role that it had."""
    return tx.value(SQL["remove"], name=name.lower())
