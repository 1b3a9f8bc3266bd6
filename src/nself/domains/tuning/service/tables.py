"""The table that an operator's word stands for."""

from __future__ import annotations

from difflib import get_close_matches

from nself.db.connect import Tx
from nself.domains.tuning import store
from nself.domains.tuning.model import NoSuchTable, NotATable, Relation

KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "i": "index",
    "I": "index",
    "S": "sequence",
}
OURS = ("billing", "auth")


def find(tx: Tx, name: str) -> Relation:
    """Step: a table of the product. Raises NoSuchTable, NotATable."""
    found = store.relation(tx, name)
    if found is None or found.schema not in OURS:
        near = get_close_matches(name.rpartition(".")[2], [one.name for one in store.tables(tx)], cutoff=0.5)
        raise NoSuchTable(name=name, near=f"; there is {', '.join(near)}" if near else " among the product's")
    if found.kind not in ("r", "p"):
        sources = store.view_sources(tx, found.oid)
        over = f" over {', '.join(sources)}" if sources else ""
        raise NotATable(name=found.name, kind=KINDS.get(found.kind, found.kind), sources=over)
    return found
