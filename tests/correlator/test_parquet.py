"""Parquet files hold what the columns held, with a type for each field."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet
import pytest
from corr_flows import flow
from corr_store import add

from common.errors import UserError
from correlator.render.parquet import library, save
from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.export import columns, exported

RECORDS = [
    flow(1, host="a.example", payload_sizes_out=tuple(range(8)), splt=((1, 2), (-3, 4)), exchange_gap_mean_s=0.5),
    flow(2, facts={"sni": "x", "version": 3}, anomalies=("odd",), vlan=None, end_reason=None),
    flow(3, server_ip="2001:db8::1"),
]


def test_every_field_is_read_back(store: Store, tmp_path: Path) -> None:
    add(store, RECORDS)
    path = tmp_path / "a.parquet"
    names = exported(details=True)
    batches = list(columns(store, Selection(), details=True, at_once=2))
    assert save(batches, names, path) == 3
    found = pyarrow.parquet.ParquetFile(path)
    assert found.num_row_groups == 2
    table = found.read()
    assert tuple(table.column_names) == names
    rows = table.to_pylist()
    assert [row["host"] for row in rows] == ["a.example", None, None]
    assert rows[0]["payload_sizes_out"] == list(range(8))
    assert rows[0]["splt"] == [[1, 2], [-3, 4]]
    assert rows[0]["exchange_gap_mean_s"] == 0.5
    assert rows[1]["facts"] == [("sni", "x"), ("version", "3")]
    assert (rows[1]["anomalies"], rows[1]["end_reason"]) == (["odd"], None)
    assert rows[2]["server_ip"] == "2001:db8::1"
    assert (table.schema.field("start_ns").type, rows[0]["start_ns"]) == (pyarrow.int64(), RECORDS[0].start_ns)


def test_nothing_is_a_file_without_rows(tmp_path: Path) -> None:
    assert save([], exported(details=False), tmp_path / "a.parquet") == 0
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").num_rows == 0


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"install the extra tunnelwatch\[parquet\]"):
        library()
