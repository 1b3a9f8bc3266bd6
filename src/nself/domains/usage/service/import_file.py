"""Importing files: resumable, each line counted once however often and under whatever name the file comes."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
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
from nself.domains.usage.inputs import ImportUsage, UsageEvent
from nself.domains.usage.model import Imported, NoSuchFile, UnreadableEvent, UnreadableImport
from nself.domains.usage.service import record
from nself.domains.usage.service.record import Given

CHUNK_LINES = 2000
MAX_LINE = 1 << 20


class Piece(NamedTuple):
    """One line with the offset at which it begins, in unpacked bytes."""

    offset: int
    text: str
    whole: bool
    """False for a last line without its newline: somebody may still be writing it."""
    end: int


class Tally(NamedTuple):
    lines: int = 0
    events: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    created: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(self, other, strict=True)))


class Plan(NamedTuple):
    """What is the same for every chunk of one import."""

    given: ImportUsage
    source: str
    format: str
    first: str
    header: list[str]


def import_file(app: App, given: ImportUsage) -> Imported:
    """Import `given.file` from where an earlier run stopped. Raises NoSuchFile, UnreadableImport, NoSuchMetric."""
    path = Path(given.file)
    plan = _plan(app, given, path)
    with app.db.transaction() as tx:
        store.begin_import(tx, plan.source, str(path.resolve()), plan.format, app.clock())
        position = store.lock_import(tx, plan.source).position
    tally, left = Tally(), None
    for chunk in _chunks(_pieces(path, position)):
        if not chunk[-1].whole and plan.format == "access":
            left = f"the last line ({chunk[-1].text[:40]}…) has no newline yet and is left for the next run"
            chunk = chunk[:-1]
        if chunk:
            tally = tally.plus(_import_chunk(app, plan, chunk))
            position = chunk[-1].end
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


def _plan(app: App, given: ImportUsage, path: Path) -> Plan:
    head = next(_pieces(path, 0), None)
    if head is None:
        raise UnreadableImport(path=path, detail="the file is empty")
    format = rules.guess_format(path.name, head.text) if given.kind == "auto" else given.kind
    if format is None:
        raise UnreadableImport(path=path, detail="its format was not recognised; give --kind access, csv or ndjson")
    if format == "access":
        for metric in (given.count_metric, given.bytes_metric):
            catalog_rules.require(catalog.metric_file(app), metric)
    header = [name.strip().lower() for name in head.text.split(",")] if format == "csv" else []
    if header and not {"user", "metric", "value"} <= set(header):
        raise UnreadableImport(path=path, detail="the header must name user, metric and value")
    # A header is the same in many files; the first line of data is not.
    named = next((piece for piece in _pieces(path, head.end)), head) if header else head
    return Plan(given, rules.source_id(named.text), format, named.text, header)


def _pieces(path: Path, position: int) -> Iterator[Piece]:
    """Lines of the unpacked file from `position` on."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream = cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw)  # type: ignore[arg-type]
            stream.seek(position)
            while line := stream.readline(MAX_LINE):
                end = position + len(line)
                yield Piece(position, line.rstrip(b"\r\n").decode("utf-8", "surrogateescape"), line.endswith(b"\n"), end)
                position = end
    except FileNotFoundError:
        raise NoSuchFile(path=path) from None
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableImport(path=path, detail=error) from error


def _chunks(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    chunk: list[Piece] = []
    for piece in pieces:
        chunk.append(piece)
        if len(chunk) == CHUNK_LINES:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _import_chunk(app: App, plan: Plan, chunk: list[Piece]) -> Tally:
    """Count one chunk and move the import's position, in one transaction. A kill leaves both or neither."""
    events = [event for piece in chunk for event in _events(plan, piece)]
    created = _create_users(app, events) if plan.given.create_users else 0
    now = app.clock()
    rows, refused = record.check(app, events, now)
    record.ensure_months(app, rows)

    def work(tx: Tx) -> Tally:
        if store.lock_import(tx, plan.source).position > chunk[0].offset:
            return Tally()  # another run of the same import was faster
        outcome = record.store_rows(tx, events, rows, refused, plan.source, now)
        duplicate, rejected = len(outcome.duplicates), len(outcome.refused)
        accepted = len(events) - duplicate - rejected
        store.advance_import(tx, plan.source, chunk[-1].end, len(chunk), len(events), accepted, duplicate, rejected, now)
        return Tally(len(chunk), len(events), accepted, duplicate, rejected, created)

    return app.db.transact(work)


def _create_users(app: App, events: list[Given]) -> int:
    users = {event.user for event in events if isinstance(event, UsageEvent)}
    return customer.create_users(app, users - customer.known_users(app, users))


def _events(plan: Plan, piece: Piece) -> list[Given]:
    """The usage events that one line stands for."""
    if not piece.text.strip() or (plan.format == "csv" and piece.offset == 0):
        return []
    text = piece.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
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
            user=event.user, metric=event.metric, value=event.value, at=event.at, key=key(event.metric), properties=event.properties
        )
    return [event]


def _show_progress(path: Path, tally: Tally) -> None:
    if sys.stderr.isatty():
        print(f"\r{path.name}: {tally.lines} lines, {tally.accepted} events counted", end="", file=sys.stderr)
