"""The fields of records that nothing asks for by SQL, in compressed blocks; read when a whole record is wanted."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import repeat
from typing import Any, Final, NamedTuple

import msgspec

from common.errors import UserError
from common.records import FlowRecord, fields_of
from correlator.store.columns import DETAILS

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_LEVEL: Final = 1
_KEPT: Final = 64  # blocks, for records in time's order are in few of them
# Unpacked. A frame is at most 4 MiB; as many rows of a text file may be more, and are several blocks then.
_MAX_BLOCK_BYTES: Final = 16 << 20
_DEFAULTS: Final = tuple(FlowRecord._field_defaults.get(name) for name in DETAILS)
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode


@cache
def _column_decoders() -> dict[str, msgspec.msgpack.Decoder[list[Any] | None]]:
    """Return what reads each field's column, arrays in it as tuples; made when first needed."""
    kinds = {field.name: field.kind for field in fields_of(FlowRecord)}
    return {name: msgspec.msgpack.Decoder(list[kinds[name].wire_type] | None) for name in DETAILS}  # type: ignore[misc]


class _Block(NamedTuple):
    """Consecutive records' details: a column or None for each of DETAILS, or nothing where no program wrote it."""

    first_record: int
    records: int
    columns: tuple[Sequence[Any] | None, ...]


def pack(data: bytes) -> bytes:
    """Return data as blocks hold it."""
    return zstd.compress(data, _LEVEL)


def fields_number(conn: sqlite3.Connection) -> int:
    """Return the number under which today's fields are listed, inside the caller's transaction."""
    names = json.dumps(DETAILS)
    conn.execute("INSERT OR IGNORE INTO detail_fields (names) VALUES (?)", (names,))
    return int(conn.execute("SELECT fields FROM detail_fields WHERE names = ?", (names,)).fetchone()[0])


def put(
    conn: sqlite3.Connection, first_record: int, records: int, fields: int, columns: Sequence[Sequence[Any] | None]
) -> None:
    """Store the details of consecutive records, inside the caller's transaction."""
    data = _encode(columns)
    if len(data) > _MAX_BLOCK_BYTES and records > 1:
        middle = records // 2
        for start, end in ((0, middle), (middle, records)):
            some = [None if column is None else column[start:end] for column in columns]
            put(conn, first_record + start, end - start, fields, some)
        return
    conn.execute(
        "INSERT INTO record_details (first_record, records, fields, columns) VALUES (?, ?, ?, ?)",
        (first_record, records, fields, pack(data)),
    )


class Details:
    """Reads the details of records by their ids; the blocks read last are kept."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn
        self._blocks: OrderedDict[int, _Block] = OrderedDict()
        self._names: dict[int, list[str]] = {}

    def of(self, record_id: int) -> tuple[Any, ...]:
        """Return a record's values of DETAILS; defaults where they are not kept."""
        query = "SELECT max(first_record) FROM record_details WHERE first_record <= ?"
        (first,) = self._conn.execute(query, (record_id,)).fetchone()
        if first is None:
            return _DEFAULTS
        block = self._block(first)
        place = record_id - block.first_record
        if place >= block.records:
            return _DEFAULTS
        return tuple(
            default if column is None else column[place]
            for column, default in zip(block.columns, _DEFAULTS, strict=True)
        )

    def following(self) -> Callable[[int], tuple[Any, ...]]:
        """Return what gives the details of records as ``of`` does, quicker where their ids ascend."""
        block = _Block(0, 0, ())
        rows: list[tuple[Any, ...]] = []

        def of(record_id: int) -> tuple[Any, ...]:
            nonlocal block, rows
            place = record_id - block.first_record
            if 0 <= place < len(rows):
                return rows[place]
            query = "SELECT max(first_record) FROM record_details WHERE first_record <= ?"
            (first,) = self._conn.execute(query, (record_id,)).fetchone()
            if first is None:
                return _DEFAULTS
            block = self._block(first)
            rows = list(_rows(block))
            place = record_id - first
            return rows[place] if place < len(rows) else _DEFAULTS

        return of

    def _block(self, first: int) -> _Block:
        if first in self._blocks:
            self._blocks.move_to_end(first)
            return self._blocks[first]
        query = "SELECT records, fields, columns FROM record_details WHERE first_record = ?"
        records, fields, packed = self._conn.execute(query, (first,)).fetchone()
        block = _Block(first, records, self._columns(first, records, fields, packed))
        self._blocks[first] = block
        if len(self._blocks) > _KEPT:
            self._blocks.popitem(last=False)
        return block

    def _columns(self, first: int, records: int, fields: int, packed: bytes) -> tuple[Sequence[Any] | None, ...]:
        if fields not in self._names:
            (names,) = self._conn.execute("SELECT names FROM detail_fields WHERE fields = ?", (fields,)).fetchone()
            self._names[fields] = json.loads(names)
        try:
            data = zstd.ZstdDecompressor().decompress(packed, _MAX_BLOCK_BYTES)
            columns = {
                name: _column_decoders()[name].decode(column)
                for name, column in zip(self._names[fields], _decode(data), strict=True)
                if name in _column_decoders()
            }
        except (zstd.ZstdError, msgspec.MsgspecError, ValueError) as error:
            raise _damaged(first, records, error) from None
        if any(column is not None and len(column) != records for column in columns.values()):
            raise _damaged(first, records, "columns of different lengths")
        return tuple(columns.get(name) for name in DETAILS)


def _rows(block: _Block) -> Iterator[tuple[Any, ...]]:
    """Return the values of each record of a block."""
    columns = (
        repeat(default, block.records) if column is None else column
        for column, default in zip(block.columns, _DEFAULTS, strict=True)
    )
    return zip(*columns, strict=True)


def _damaged(first: int, records: int, fact: object) -> UserError:
    numbers = f"{first} to {first + records - 1}"
    return UserError(f"the details of records {numbers} are damaged ({fact}): restore a copy of the database")
