"""An archive in the bucket: Parquet files, and a manifest that is written when they were read back."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import date
from typing import Any

import msgspec

from nself.app import App
from nself.bucket import parquet
from nself.bucket.errors import ObjectDamaged, ObjectMissing
from nself.db.connect import Tx
from nself.domains.archive import rules, store
from nself.domains.archive.model import COLUMNS, FORMAT, VERSION, ArchiveDiffers, KeysMissing, Manifest, Piece

ROOT = "usage"
CHUNK_ROWS = 50_000
"""Lines of COPY that become a table together."""
PIECE_ROWS = 500_000
"""Events of one object, which is built in memory: some 20 MB."""


def owner(app: App) -> str:
    """The name of this database in the bucket; drawn when it is first needed."""
    return app.db.transact(lambda tx: store.owner(tx, uuid.uuid4().hex[:12]))


def home(owner: str, month: date | None = None) -> str:
    """The folder of a database's archives, or of those of a month."""
    return f"{ROOT}/{owner}/{rules.name(month)}" if month else f"{ROOT}/{owner}"


def new_folder(app: App, owner: str, month: date) -> str:
    return f"{home(owner, month)}/{app.clock():%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:12]}"


def write(app: App, tx: Tx, owner: str, month: date, folder: str) -> tuple[Manifest, str]:
    """Send the month's raw events, read them back, then write the manifest; it with its checksum.

    Raises KeysMissing, ArchiveDiffers and the bucket's errors; then the folder is no archive.
    """
    span = rules.span(month)
    with closing(
        store.export(tx, span, CHUNK_ROWS)
    ) as blocks:  # or the transaction waits for the COPY that it would end
        pieces = list(_send(app, month, folder, blocks))
    for piece in pieces:
        _compare(app, folder, piece)
    manifest = Manifest(
        format=FORMAT,
        version=VERSION,
        owner=owner,
        livemode=app.settings.live,
        month=rules.name(month),
        start=span.start,
        end=span.end,
        created_at=app.clock(),
        actor=app.operator(),
        columns=COLUMNS,
        events=sum(piece.events for piece in pieces),
        metrics=rules.metered(rules.added(rules.sums_of(piece.metrics) for piece in pieces)),
        objects=pieces,
    )
    sealed = rules.seal(manifest)
    place = f"{folder}/{rules.MANIFEST}"
    app.bucket.put(place, sealed)
    if app.bucket.get(place) != sealed:
        raise ArchiveDiffers(location=app.bucket.location(place), detail="its manifest")
    return rules.unseal(sealed), rules.digest(sealed)


def _compare(app: App, folder: str, piece: Piece) -> None:
    try:
        verify(app, folder, piece)
    except ObjectDamaged as error:
        raise ArchiveDiffers(location=error.fields["location"], detail=error.fields["detail"]) from error


class _Open:
    """An object that is being written, in memory."""

    def __init__(self) -> None:
        self.writer, self.sums = parquet.Writer(COLUMNS), list[rules.Sums]()
        self.first = self.last = ""

    @property
    def room(self) -> int:
        return PIECE_ROWS - self.writer.rows

    def add(self, table: Any) -> None:
        users = table["user_id"]
        self.first, self.last = self.first or users[0].as_py(), users[-1].as_py()
        self.sums.append(parquet.sums(table, "metric_type", "value"))
        self.writer.add(table)

    def close(self, app: App, folder: str, number: int) -> Piece:
        data, name = self.writer.finish(), f"part-{number:05}.parquet"
        app.bucket.put(f"{folder}/{name}", data)
        return Piece(
            name=name,
            bytes=len(data),
            sha256=rules.digest(data),
            events=self.writer.rows,
            first_user=self.first,
            last_user=self.last,
            metrics=rules.metered(rules.added(self.sums)),
        )


def _send(app: App, month: date, folder: str, blocks: Iterable[bytes]) -> Iterator[Piece]:
    """Objects of at most PIECE_ROWS events."""
    piece, number = _Open(), 0
    for block in blocks:
        table = parquet.table(block, COLUMNS)
        if table["digest"].null_count:
            raise KeysMissing(events=table["digest"].null_count, month=rules.name(month))
        while table.num_rows:
            part = table.slice(0, piece.room)
            table = table.slice(part.num_rows)
            piece.add(part)
            if not piece.room:
                yield piece.close(app, folder, number)
                piece, number = _Open(), number + 1
    if piece.writer.rows:
        yield piece.close(app, folder, number)


def open_piece(app: App, folder: str, piece: Piece) -> Iterator[Any]:
    """An object's tables. Raises ObjectMissing, and ObjectDamaged where it has not its checksum or is no such file."""
    place = f"{folder}/{piece.name}"
    data = app.bucket.get(place)
    if len(data) != piece.bytes or rules.digest(data) != piece.sha256:
        raise _damaged(app, place, f"{len(data)} bytes that do not have the checksum of the {piece.bytes} written")
    try:
        yield from parquet.read(data, COLUMNS)
    except parquet.BAD as error:
        raise _damaged(app, place, " ".join(str(error).split())[:200]) from error


def verify(app: App, folder: str, piece: Piece) -> None:
    """Read an object back and count it. Raises ObjectMissing, ObjectDamaged."""
    found = rules.added(parquet.sums(table, "metric_type", "value") for table in open_piece(app, folder, piece))
    if found != rules.sums_of(piece.metrics) or rules.events_of(found) != piece.events:
        raise _damaged(
            app, f"{folder}/{piece.name}", f"{rules.events_of(found)} events where {piece.events} were written"
        )


def read_manifest(app: App, folder: str, sha256: str | None = None) -> Manifest | None:
    """None where there is none: a folder without one is no archive. `sha256` where it is known here. Raises ObjectDamaged."""
    place = f"{folder}/{rules.MANIFEST}"
    try:
        data = app.bucket.get(place)
    except ObjectMissing:
        return None
    if sha256 is not None and rules.digest(data) != sha256:
        raise _damaged(app, place, "the manifest is not the one that was verified")
    try:
        return rules.unseal(data)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _damaged(app, place, str(error)) from error


def _damaged(app: App, place: str, detail: str) -> ObjectDamaged:
    return ObjectDamaged(location=app.bucket.location(place), detail=detail)


def remove(app: App, folder: str) -> None:
    """The manifest first: from then on the folder is no archive, wherever this ends."""
    app.bucket.delete(f"{folder}/{rules.MANIFEST}")
    for name in app.bucket.names(folder):
        app.bucket.delete(name)
