"""Importing files: resumable, each line counted once however often and under whatever name the file comes."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from nself import log
from nself.app import App
from nself.core.errors import BillingError
from nself.db.connect import Tx
from nself.domains.catalog import rules as catalog_rules
from nself.domains.catalog import service as catalog
from nself.domains.customer import service as customer
from nself.domains.usage import rules, store
from nself.domains.usage.errors import ImportDiffers, NoSuchFile, UnreadableEvent, UnreadableImport
from nself.domains.usage.inputs import ImportUsage, UsageEvent
from nself.domains.usage.model import Imported, Progress, Tally
from nself.domains.usage.service import record
from nself.domains.usage.service.record import Given

CHUNK_LINES = 2000
MAX_LINE = 1 << 20
BLOCK = 1 << 20
NOTHING = Progress(0, b"", "")


class Piece(NamedTuple):
    """One line with the offset at which it begins, in unpacked bytes."""

    offset: int
    raw: bytes
    whole: bool
    """False for a last line without its newline: somebody may still be writing it."""
    digest: bytes
    """Of the file from its beginning to the end of this line."""

    @property
    def end(self) -> int:
        return self.offset + len(self.raw)

    @property
    def text(self) -> str:
        """The line as its key is made from; not every byte of it can be stored."""
        return self.raw.rstrip(b"\r\n").decode("utf-8", "surrogateescape")

    @property
    def readable(self) -> str:
        """Without the byte order mark that spreadsheets put before the first line."""
        text = self.raw.rstrip(b"\r\n").decode("utf-8", "replace")
        return text if self.offset else text.removeprefix("\ufeff")


class Plan(NamedTuple):
    """What is the same for every chunk of one import."""

    given: ImportUsage
    source: str
    format: str
    first: str
    header: list[str]


def import_file(app: App, given: ImportUsage) -> Imported:
    """Import `given.file` from where an earlier run stopped. Raises NoSuchFile, UnreadableImport, ImportDiffers, NoSuchMetric."""
    path = Path(given.file)
    plan = _plan(app, given, path)
    with app.db.transaction() as tx:
        store.begin_import(tx, plan.source, path.resolve(), plan.format, given, app.clock())
        stored = store.lock_import(tx, plan.source)
    tally, left, position = Tally(), None, stored.position
    for chunk in _chunks(_pieces(path, stored)):
        if _unfinished(plan, chunk[-1]):
            left = f"the last line ({chunk[-1].readable[:40]}…) has no newline yet and is left for the next run"
            chunk = chunk[:-1]
        while chunk:
            position = chunk[-1].end
            done = _import_chunk(app, plan, chunk)
            if isinstance(done, Tally):
                tally, chunk = tally.plus(done), []
            else:
                chunk = _catch_up(path, chunk, done)
            _show_progress(path, tally)
    log.info("usage_imported", file=str(path), source=plan.source, **tally._asdict())
    return Imported(
        file=given.file,
        source=plan.source,
        format=plan.format,
        lines=tally.lines,
        events=tally.events,
        accepted=tally.accepted,
        duplicate=tally.duplicate,
        rejected=tally.rejected,
        users_created=tally.created,
        position=position,
        left=left,
    )


def events_of(app: App, given: ImportUsage) -> Iterator[Given]:
    """What importing the whole of `given.file` would record, with the keys that it would have.

    Raises NoSuchFile, UnreadableImport, NoSuchMetric.
    """
    path = Path(given.file)
    plan = _plan(app, given, path)
    for piece in _pieces(path, NOTHING):
        if not _unfinished(plan, piece):
            yield from _events(plan, piece)


def kind_of(app: App, given: ImportUsage) -> str:
    """`access` or `table`. Raises NoSuchFile, UnreadableImport, NoSuchMetric."""
    return "access" if _plan(app, given, Path(given.file)).format == "access" else "table"


def _plan(app: App, given: ImportUsage, path: Path) -> Plan:
    head = next(_pieces(path, NOTHING), None)
    if head is None:
        raise UnreadableImport(path=path, detail="the file is empty")
    format = rules.guess_format(path.name, head.readable) if given.kind == "auto" else given.kind
    if format is None:
        raise UnreadableImport(path=path, detail="its format was not recognised; give --kind access, csv or ndjson")
    if format == "access":
        for metric in (given.count_metric, given.bytes_metric):
            catalog_rules.require(catalog.metric_file(app), metric)
    header = rules.csv_header(head.readable) if format == "csv" else []
    if format == "csv" and not {"user", "metric", "value"} <= set(header):
        raise UnreadableImport(path=path, detail="the header must name user, metric and value")
    # A header is the same in many files; the first line of data is not.
    named = next(islice(_pieces(path, NOTHING), 1, None), head) if header else head
    first = f"{given.origin}\0{named.text}" if given.origin else named.text
    return Plan(given, rules.source_id(first), format, first, header)


@contextmanager
def _unpacked(path: Path) -> Generator[BinaryIO]:
    """The file's content, read from its beginning. Raises NoSuchFile, UnreadableImport."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            yield cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw)  # type: ignore[arg-type]
    except FileNotFoundError:
        raise NoSuchFile(path=path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableImport(path=path, detail=error) from error


def _pieces(path: Path, stored: Progress) -> Iterator[Piece]:
    """Lines from where `stored` stands. Raises ImportDiffers where the file does not begin as that import did."""
    digest, left = blake2b(digest_size=16), stored.position
    with _unpacked(path) as stream:
        while left and (block := stream.read(min(BLOCK, left))):
            digest.update(block)
            left -= len(block)
        if left or (stored.digest and digest.digest() != stored.digest):
            raise _differs(path, stored)
        position, whole = stored.position, True
        while whole and (line := stream.readline(MAX_LINE)):
            digest.update(line)
            whole = line.endswith(b"\n") or len(line) == MAX_LINE
            yield Piece(position, line, whole, digest.digest())
            position += len(line)


def _differs(path: Path, stored: Progress) -> ImportDiffers:
    return ImportDiffers(path=path, other=stored.path, position=stored.position)


def _unfinished(plan: Plan, last: Piece) -> bool:
    """Whether `last` may still be written to. A table often ends without a newline; half an object tells itself."""
    if last.whole or plan.format == "csv":
        return False
    try:
        return plan.format == "access" or not rules.decode(last.raw)
    except UnreadableEvent:
        return True
    except BillingError:
        return False


def _catch_up(path: Path, chunk: list[Piece], stored: Progress) -> list[Piece]:
    """Another run was faster: what it has not imported yet. Raises ImportDiffers where it reads another file."""
    rest = [piece for piece in chunk if piece.offset >= stored.position]
    last = next((piece for piece in chunk if piece.end == stored.position), None)
    if last.digest != stored.digest if last else rest:
        raise _differs(path, stored)
    return rest


def _chunks(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    chunk: list[Piece] = []
    for piece in pieces:
        chunk.append(piece)
        if len(chunk) == CHUNK_LINES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _import_chunk(app: App, plan: Plan, chunk: list[Piece]) -> Tally | Progress:
    """Count one chunk and move the import's position, in one transaction. A kill leaves both or neither.

    Where another run of the same import was faster: how far it is, and nothing is counted.
    """
    events = [event for piece in chunk for event in _events(plan, piece)]
    created = _create_users(app, events) if plan.given.create_users else 0
    now = app.clock()
    rows, refused = record.check(app, events, now)
    record.ensure_months(app, rows)

    def work(tx: Tx) -> Tally | Progress:
        stored = store.lock_import(tx, plan.source)
        if stored.position != chunk[0].offset:
            return stored
        outcome = record.store_rows(tx, events, rows, refused, plan.source, now)
        duplicate, rejected = len(outcome.duplicates), len(outcome.refused)
        tally = Tally(len(chunk), len(events), len(events) - duplicate - rejected, duplicate, rejected, created)
        store.advance_import(tx, plan.source, chunk[-1].end, chunk[-1].digest, tally, now)
        return tally

    return app.db.transact(work)


def _create_users(app: App, events: list[Given]) -> int:
    users = {event.user for event in events if isinstance(event, UsageEvent) and rules.is_name(event.user)}
    return customer.create_users(app, dict.fromkeys(users - customer.known_users(app, users)))


def _events(plan: Plan, piece: Piece) -> list[Given]:
    """The usage events that one line stands for."""
    if not piece.raw.strip() or (plan.format == "csv" and piece.offset == 0):
        return []
    text = piece.readable
    try:
        return _read(plan, piece, text)
    except BillingError as error:
        error.fields["line"] = text
        return [error]


def _read(plan: Plan, piece: Piece, text: str) -> list[Given]:
    def key(metric: str) -> str:
        return rules.line_key(plan.first, piece.offset, piece.text, metric)

    if plan.format == "access":
        line = rules.access_line(text)
        if line is None:
            raise UnreadableEvent(detail="not a line of an access log")
        count, sent = plan.given.count_metric, plan.given.bytes_metric
        found: list[Given] = [UsageEvent(user=line.host, metric=count, value=1, at=line.at, key=key(count))]
        if line.size is not None:
            found.append(UsageEvent(user=line.host, metric=sent, value=line.size, at=line.at, key=key(sent)))
        return found
    event = rules.csv_event(plan.header, text) if plan.format == "csv" else rules.decode(text.encode())
    if event.key is None:
        event = UsageEvent(
            user=event.user,
            metric=event.metric,
            value=event.value,
            at=event.at,
            key=key(event.metric),
            properties=event.properties,
        )
    return [event]


def _show_progress(path: Path, tally: Tally) -> None:
    if sys.stderr.isatty():
        print(f"\r{path.name}: {tally.lines} lines, {tally.accepted} events counted", end="", file=sys.stderr)
