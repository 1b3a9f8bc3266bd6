"""Backups as files, and databases as a whole."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from nself import files
from nself.db.connect import Tx
from nself.db.queries import beside
from nself.db.server import DatabaseUnavailable, masked
from nself.domains.backup.model import BackupExists, Facts, Ledger, MayNotCreate, Session, StoredTable

SQL = beside(__file__)
MAINTENANCE = "postgres"
"""The database from which another one can be renamed."""
BLOCK = 1024 * 1024
PAUSE = 0.1


class InUse(Exception):
    """Somebody is connected to a database that was to be renamed."""


# ---- Inside a database ----


def export_snapshot(tx: Tx) -> str:
    return str(tx.value(SQL["snapshot"]))


def facts(tx: Tx) -> Facts:
    return tx.one(SQL["facts"], Facts)


def ledger(tx: Tx) -> Ledger:
    return tx.one(SQL["ledger"], Ledger)


def rows(tx: Tx) -> dict[str, int]:
    """Rows of each table of the product."""
    part = sql.SQL("select {label}, count(*) from {table}")
    parts = [
        part.format(label=sql.Literal(f"{one.schema}.{one.name}"), table=sql.Identifier(one.schema, one.name))
        for one in tx.all(SQL["tables"], StoredTable)
    ]
    return dict(tx.connection.execute(sql.SQL(" union all ").join(parts)).fetchall()) if parts else {}


@contextmanager
def session(conninfo: str) -> Generator[Tx]:
    """A session of its own, which takes as long as it takes. Raises DatabaseUnavailable."""
    options = "-c search_path=billing,public -c timezone=UTC -c statement_timeout=0"
    try:
        connection = psycopg.connect(
            conninfo, autocommit=True, options=options, application_name="nself db", connect_timeout=10
        )
    except psycopg.Error as error:
        raise DatabaseUnavailable(detail=masked(conninfo, " ".join(str(error).split()))) from error
    with connection:
        yield Tx(connection)


@contextmanager
def snapshot(tx: Tx) -> Generator[None]:
    """Everything inside sees one instant, which is exported to pg_dump."""
    with tx.connection.transaction():
        tx.connection.execute("set transaction isolation level repeatable read, read only")
        yield


# ---- Databases ----


@contextmanager
def maintenance(conninfo: str) -> Generator[Tx]:
    """A session beside the database, from which it can be renamed. Raises DatabaseUnavailable."""
    with session(make_conninfo(conninfo, dbname=MAINTENANCE)) as tx:
        yield tx


def name(conninfo: str) -> str:
    """Of the database that a session would get."""
    with session(conninfo) as tx:
        return str(tx.value(SQL["database"]))


def at(conninfo: str, database: str) -> str:
    return make_conninfo(conninfo, dbname=database)


def alone(tx: Tx, database: str) -> bool:
    return bool(tx.value(SQL["alone"], database=database))


def pause() -> None:
    """Between two looks at who is still there."""
    time.sleep(PAUSE)


def sessions(tx: Tx, database: str) -> list[Session]:
    return tx.all(SQL["sessions"], Session, database=database)


def kept(tx: Tx, prefix: str) -> list[str]:
    return tx.values(SQL["owned"], prefix=prefix)


def create(tx: Tx, name: str) -> None:
    """An empty one. Raises MayNotCreate."""
    try:
        tx.connection.execute(sql.SQL("create database {name} template template0").format(name=sql.Identifier(name)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise MayNotCreate(detail=error.diag.message_primary) from error
    text = sql.SQL("alter database {name} set search_path = billing, public")
    tx.connection.execute(text.format(name=sql.Identifier(name)))


def drop(tx: Tx, name: str) -> None:
    tx.connection.execute(sql.SQL("drop database if exists {name} with (force)").format(name=sql.Identifier(name)))


def swap(tx: Tx, name: str, new: str, old: str) -> None:
    """`new` becomes `name` and what was so far becomes `old`: both or neither. Raises InUse."""
    rename = sql.SQL("alter database {a} rename to {b}")
    try:
        with tx.connection.transaction():
            tx.connection.execute(rename.format(a=sql.Identifier(name), b=sql.Identifier(old)))
            tx.connection.execute(rename.format(a=sql.Identifier(new), b=sql.Identifier(name)))
    except psycopg.errors.ObjectInUse as error:
        raise InUse from error


# ---- Files ----


def checksum(file: Path) -> tuple[str, int]:
    """SHA-256 and length."""
    digest, length = hashlib.sha256(), 0
    with file.open("rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
            length += len(block)
    return digest.hexdigest(), length


@contextmanager
def writing(target: Path) -> Generator[Path]:
    """A new private file beside `target` that becomes it at the end, durable; never over another.

    Raises BackupExists, FileNotWritten.
    """
    files.refuse_foreign(target)
    if target.exists():
        raise BackupExists(file=target)
    with files.part(target) as (fresh, descriptor):
        yield fresh
        os.fsync(descriptor)
        with files.refusing(target):
            try:
                os.link(fresh, target)
            except FileExistsError as error:
                raise BackupExists(file=target) from error


def read(file: Path) -> bytes:
    """Raises OSError."""
    return file.read_bytes()
