"""Blocks of details: what was put is read, by whatever program wrote it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.errors import UserError
from correlator.store import details
from correlator.store.columns import DETAILS
from correlator.store.database import Built, Store, writing


@pytest.fixture
def store(db: Path) -> Iterator[Store]:
    with writing(db, Built(3600, 300)) as opened:
        yield opened


def put(store: Store, first: int, **columns: list[Any]) -> None:
    records = len(next(iter(columns.values())))
    wanted = [columns.get(name) for name in DETAILS]
    details.put(store.conn, first, records, details.fields_number(store.conn), wanted)


def value(found: tuple[Any, ...], name: str) -> Any:
    return found[DETAILS.index(name)]


def test_each_record_has_its_own_whatever_the_order_of_asking(store: Store) -> None:
    put(store, 1, max_idle_ns=[10, 20, 30])
    put(store, 7, max_idle_ns=[70, 80], splt=[None, [[1, 2]]])
    reader = details.Details(store.conn)
    assert [value(reader.of(n), "max_idle_ns") for n in (8, 1, 7, 3, 2)] == [80, 10, 70, 30, 20]
    assert value(reader.of(8), "splt") == ((1, 2),)


def test_records_without_a_block_have_the_defaults(store: Store) -> None:
    put(store, 5, missed_bytes_in=[9])
    reader = details.Details(store.conn)
    assert [value(reader.of(n), "missed_bytes_in") for n in (4, 5, 6)] == [0, 9, 0]


def test_blocks_of_a_program_with_other_fields_are_read_by_their_names(store: Store) -> None:
    names = ["max_idle_ns", "invented_since"]
    store.conn.execute("INSERT INTO detail_fields (fields, names) VALUES (9, ?)", (json.dumps(names),))
    details.put(store.conn, 1, 2, 9, [[1, 2], ["x", "y"]])
    found = details.Details(store.conn).of(2)
    assert (value(found, "max_idle_ns"), value(found, "missed_bytes_in"), len(found)) == (2, 0, len(DETAILS))


def test_more_blocks_than_are_kept_are_read_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "_KEPT", 2)
    for first in range(1, 40, 2):
        put(store, first, max_idle_ns=[first, first + 1])
    reader = details.Details(store.conn)
    for _ in range(2):
        assert [value(reader.of(n), "max_idle_ns") for n in range(1, 41)] == list(range(1, 41))


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"no zstd",
        details.pack(b"\xc1"),
        details.pack(msgspec.msgpack.encode([[1]] * len(DETAILS))),
    ],
)
def test_a_damaged_block_is_one_line_that_names_its_records(store: Store, block: bytes) -> None:
    put(store, 5, max_idle_ns=[1, 2])
    store.conn.execute("UPDATE record_details SET columns = ?", (block,))
    with pytest.raises(UserError, match="details of records 5 to 6 are damaged"):
        details.Details(store.conn).of(5)


def test_a_block_that_would_fill_the_memory_is_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(details, "_MAX_BLOCK_BYTES", 1000)
    put(store, 1, history=["x" * 2000])
    with pytest.raises(UserError, match="are damaged"):
        details.Details(store.conn).of(1)


def test_what_is_too_much_for_a_block_is_put_in_several(store: Store) -> None:
    facts = [{"agent": f"{number:04d}" * 256, **{f"fact{n}": "x" * 1024 for n in range(31)}} for number in range(1200)]
    put(store, 5, facts=facts, max_idle_ns=list(range(1200)))
    reader = details.Details(store.conn)
    for number in (0, 599, 600, 1199):
        found = reader.of(5 + number)
        assert (value(found, "max_idle_ns"), value(found, "facts")) == (number, facts[number])
    assert store.conn.execute("SELECT count(*) > 1, sum(records) FROM record_details").fetchone() == (1, 1200)
