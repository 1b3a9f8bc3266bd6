"""Rows as Parquet files. pyarrow does the work and is imported on first use (docs/decisions/0015)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from nself.bucket.errors import ExtraMissing

Kind = str
"""`text`, `integer` or `instant` (microseconds, UTC)."""
GROUP_ROWS = 65_536
LINE, QUOTE = "\t", "\x01"
BAD = (OSError, ValueError, KeyError)
"""What pyarrow raises for bytes that are no Parquet file or hold other columns: ArrowInvalid is a ValueError."""


@cache
def arrow(name: str = "pyarrow") -> Any:
    """Raises ExtraMissing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ExtraMissing(module="pyarrow") from error


def _schema(columns: Mapping[str, Kind]) -> Any:
    pa = arrow()
    kinds = {"text": pa.string(), "integer": pa.int64(), "instant": pa.timestamp("us", "UTC")}
    return pa.schema([(name, kinds[kind]) for name, kind in columns.items()])


def table(lines: bytes, columns: Mapping[str, Kind]) -> Any:
    """What `COPY … TO STDOUT (format csv, delimiter e'\\t', quote e'\\x01')` wrote, as an Arrow table. Raises ValueError."""
    csv, schema = arrow("pyarrow.csv"), _schema(columns)
    return csv.read_csv(
        io.BytesIO(lines),
        read_options=csv.ReadOptions(column_names=list(columns), use_threads=False),
        parse_options=csv.ParseOptions(delimiter=LINE, quote_char=QUOTE, double_quote=True, ignore_empty_lines=False),
        convert_options=csv.ConvertOptions(
            column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )


class Writer:
    """One Parquet file in memory, zstd."""

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self.rows = 0
        self._sink = io.BytesIO()
        self._writer = arrow("pyarrow.parquet").ParquetWriter(
            self._sink, _schema(columns), compression="zstd", write_statistics=True
        )

    def add(self, rows: Any) -> None:
        self._writer.write_table(rows, row_group_size=GROUP_ROWS)
        self.rows += rows.num_rows

    def finish(self) -> bytes:
        self._writer.close()
        return self._sink.getvalue()


def read(data: bytes, columns: Mapping[str, Kind]) -> Iterator[Any]:
    """Tables of at most GROUP_ROWS rows. Raises one of BAD where the bytes are no such file."""
    file = arrow("pyarrow.parquet").ParquetFile(io.BytesIO(data), pre_buffer=False)
    if not file.schema_arrow.equals(_schema(columns), check_metadata=False):
        raise ValueError("its columns are others")
    for at in range(file.num_row_groups):
        yield file.read_row_group(at, use_threads=False)


def sums(rows: Any, by: str, value: str) -> dict[str, tuple[int, int]]:
    """Number of rows and exact sum of an integer column for each value of `by`."""
    pa = arrow()
    wide = pa.table({"by": rows[by], "value": rows[value].cast(pa.decimal128(38))})
    found = wide.group_by("by", use_threads=False).aggregate([("value", "count"), ("value", "sum")]).to_pydict()
    return {
        name: (count, int(total))
        for name, count, total in zip(found["by"], found["value_count"], found["value_sum"], strict=True)
    }


def chosen(rows: Any, user: str | None, start: Any, end: Any) -> list[dict[str, Any]]:
    """Rows with `created_at` in `[start, end)`, of one `user_id` or of all."""
    pa, compute = arrow(), arrow("pyarrow.compute")
    at = rows["created_at"]
    instant = pa.timestamp("us", "UTC")
    wanted = compute.and_(
        compute.greater_equal(at, pa.scalar(start, instant)), compute.less(at, pa.scalar(end, instant))
    )
    if user is not None:
        wanted = compute.and_(wanted, compute.equal(rows["user_id"], user))
    return rows.filter(wanted).to_pylist()
