"""Columns as a Parquet file; its library is an extra, imported only where a file is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from common.errors import UserError
from common.kinds import FACTS, HISTOGRAM, NAMES, SPLT
from common.records import FlowRecord, fields_of

_NEEDED: Final = "Parquet needs the package pyarrow: install the extra tunnelwatch[parquet], or name a file .csv"
_TEXTS: Final = frozenset(("sensor", "end_reason", "protocol", "client_ip", "server_ip", "oriented_by"))


def library() -> Any:
    """Return the library; UserError that names the extra when it is missing."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError:
        raise UserError(_NEEDED) from None
    return pa


def save(batches: Iterable[Mapping[str, Sequence[Any]]], names: Sequence[str], path: Path) -> int:
    """Write a file with a row group for each batch; return the number of rows."""
    arrow = library()
    schema = arrow.schema([(name, _type(arrow, name)) for name in names])
    rows = 0
    with arrow.parquet.ParquetWriter(path, schema, compression="zstd") as out:
        for batch in batches:
            arrays = [arrow.array(_values(name, batch[name]), schema.field(name).type) for name in names]
            out.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            rows += len(arrays[0])
    return rows


def _values(name: str, values: Sequence[Any]) -> Sequence[Any]:
    if name == "facts":
        return [None if value is None else [(key, str(one)) for key, one in value.items()] for value in values]
    return values


def _type(arrow: Any, name: str) -> Any:
    if name in _TEXTS:
        return arrow.string()
    kind = next(field.kind for field in fields_of(FlowRecord) if field.name == name)
    nested = {
        HISTOGRAM: arrow.list_(arrow.int64()),
        SPLT: arrow.list_(arrow.list_(arrow.int64())),
        FACTS: arrow.map_(arrow.string(), arrow.string()),
        NAMES: arrow.list_(arrow.string()),
    }
    if kind in nested:
        return nested[kind]
    if kind.name.startswith("text"):
        return arrow.string()
    return arrow.float64() if kind.name.startswith("number") else arrow.int64()
