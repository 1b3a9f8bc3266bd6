"""Makes and drops indexes while others write, so that a kill between any two lines is made good by repeating the command."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

from nself import log
from nself.app import App
from nself.core.clock import monotonic
from nself.db.connect import Tx
from nself.db.migrate import available
from nself.domains.tuning import rules, store
from nself.domains.tuning.inputs import AddIndex, DropIndex
from nself.domains.tuning.model import (
    AddedIndex,
    DroppedIndex,
    Index,
    IndexFailed,
    IndexNeeded,
    IndexUnderWay,
    NameTaken,
    NoSuchColumn,
    NoSuchIndex,
    Part,
    Relation,
    TableBusy,
)
from nself.domains.tuning.service import tables

PATIENCE = timedelta(seconds=60)
"""A concurrent build waits for all transactions that were there before it, and keeps nobody waiting meanwhile."""
MOST_ROUNDS = 5
"""How often partitions that were made meanwhile are looked for."""


@contextmanager
def working(app: App, table: Relation, wait: timedelta) -> Generator[Tx]:
    """A session that works on `table`; raises TableBusy, IndexFailed for what PostgreSQL refuses."""
    with store.session(app.db.conninfo, wait) as tx:
        try:
            yield tx
        except store.Refused as refused:
            if refused.sqlstate not in store.TIMED_OUT:
                raise IndexFailed(detail=refused) from refused
            held = store.holders(tx, table.oid)
            who = "; ".join(map(rules.told, held)) or "Nobody holds it any more"
            raise TableBusy(table=table.name, limit=f"{wait.total_seconds():g} s", who=log.redact(who)) from refused


def brief(app: App) -> timedelta:
    """Longest wait for a lock that keeps others waiting."""
    return timedelta(seconds=app.settings.seconds("DB_LOCK_TIMEOUT"))


def add_index(app: App, given: AddIndex) -> AddedIndex:
    """Raises NoSuchTable, NotATable, InvalidParameter, NoSuchColumn, NameTaken, IndexUnderWay, TableBusy, IndexFailed."""
    columns, started = rules.columns(given.columns), monotonic()
    with app.db.reading() as tx:
        table = tables.find(tx, given.table)
        known = store.columns(tx, table.oid)
    for column in columns:
        if column not in known:
            raise NoSuchColumn(table=table.name, column=column, known=", ".join(known))
    name = given.name or rules.index_name(table.name, columns)
    with working(app, table, PATIENCE) as tx:
        if not store.alone(tx, table.oid):
            raise IndexUnderWay(table=table.name)
        outcome, index, parts, note = _Work(app, tx, table, columns).done(name)
        made = next(one for one in store.indexes(tx, table.oid) if one.name == index)
    if outcome not in ("stands", "equal"):
        log.info("index_added", table=table.name, index=index, columns=columns, outcome=outcome, actor=app.operator())
    return AddedIndex(
        table=table.name, index=index, columns=columns, outcome=outcome, partitions=parts, bytes=made.bytes,
        seconds=round(monotonic() - started, 2), note=note,
    )  # fmt: skip


class _Work:
    """One index of one table, in a session of its own."""

    def __init__(self, app: App, tx: Tx, table: Relation, columns: list[str]) -> None:
        self.app, self.tx, self.table, self.columns = app, tx, table, columns

    def done(self, name: str) -> tuple[str, str, int, str | None]:
        """Outcome, the index's name, partitions that it was built on, what is to be said of it."""
        own = store.indexes(self.tx, self.table.oid)
        same = next((one for one in own if one.name == name), None)
        if same is None:
            self._require_free(name)
            twin = rules.equal(own, self.columns)
            if twin:
                return "equal", twin.name, 0, f"{twin.name} has the same columns, so {name} was not made"
        elif not same.plain or same.columns != self.columns or (same.unique and not same.valid):
            raise NameTaken(name=name, what=same.definition)
        elif same.valid:
            return "stands", name, 0, "it was there already; nothing was done"
        note = self._already_served(own, name)
        if self.table.kind == "p":
            built = self._build_parts(name, begun=same is not None)
            return ("finished" if same else "built"), name, built, note
        if same:
            store.drop_index(self.tx, self.table.schema, name, concurrently=True)
        store.build_index(self.tx, self.table.schema, self.table.name, name, self.columns)
        return ("rebuilt" if same else "built"), name, 0, note

    def _require_free(self, name: str) -> None:
        other = store.relation(self.tx, f'{self.table.schema}."{name.replace(chr(34), chr(34) * 2)}"')
        if other:
            raise NameTaken(name=name, what=f"{tables.KINDS.get(other.kind, other.kind)} of schema {other.schema}")

    def _already_served(self, own: list[Index], name: str) -> str | None:
        longer = next(
            (one for one in own if one.valid and one.name != name and not one.partial and one.columns[: len(self.columns)] == self.columns),
            None,
        )  # fmt: skip
        if longer is None:
            return None
        return f"{longer.name} begins with these columns too; where writes matter more, drop this one: nself db drop-index {name}"

    def _build_parts(self, name: str, begun: bool) -> int:
        """Each partition's piece concurrently, then attached; the whole is valid with the last of them."""
        if not begun:
            self._locking(lambda tx: store.begin_index(tx, self.table.schema, self.table.name, name, self.columns))
        built = 0
        for _ in range(MOST_ROUNDS):
            whole = next(one for one in store.indexes(self.tx, self.table.oid) if one.name == name)
            missing = [part for part in store.parts(self.tx, self.table.oid, whole.oid) if part.attached is None]
            if not missing:
                return built
            for part in missing:
                built += self._build_part(part, name)
        raise IndexFailed(detail="partitions are made faster than their indexes")

    def _build_part(self, part: Part, name: str) -> bool:
        """Whether it had to be built; else an equal one of the partition was taken."""
        if part.partitioned:
            raise IndexFailed(detail=f"{part.name} is partitioned itself")
        own = store.indexes(self.tx, part.oid)
        piece = rules.part_name(part.name, name)
        leftover = next((one for one in own if one.name == piece and not one.valid), None)
        if leftover:
            store.drop_index(self.tx, part.schema, piece, concurrently=True)
        found = next((one for one in own if one.valid and one.name == piece and one.columns == self.columns), None)
        if not found:
            store.build_index(self.tx, part.schema, part.name, piece, self.columns)
        self._locking(lambda tx: store.attach_index(tx, self.table.schema, name, piece))
        return not found

    def _locking(self, work: Callable[[Tx], None]) -> None:
        """What keeps writers waiting waits itself for DB_LOCK_TIMEOUT only."""
        with working(self.app, self.table, brief(self.app)) as tx:
            work(tx)


def drop_index(app: App, given: DropIndex) -> DroppedIndex:
    """Raises NoSuchIndex, IndexNeeded, IndexUnderWay, TableBusy."""
    with app.db.reading() as tx:
        found = next((one for one in store.indexes(tx) if one.name == given.name), None)
        if found is None:
            raise NoSuchIndex(name=given.name)
        table = tables.find(tx, found.table_name)
    if found.of_constraint or (found.unique and found.valid):
        raise IndexNeeded(name=found.name, why="keeps rows unique")
    if any(rules.ships(one.text, found.name) for one in available()):
        raise IndexNeeded(name=found.name, why="belongs to the product")
    partitioned = table.kind == "p"  # which PostgreSQL cannot drop concurrently
    with working(app, table, brief(app) if partitioned else PATIENCE) as tx:
        if not store.alone(tx, table.oid):
            raise IndexUnderWay(table=table.name)
        store.drop_index(tx, table.schema, found.name, concurrently=not partitioned)
    log.warning("index_dropped", table=table.name, index=found.name, definition=found.definition, actor=app.operator())
    return DroppedIndex(table=table.name, index=found.name, definition=found.definition)
