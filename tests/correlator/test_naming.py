"""Names beside the addresses of records: looked up in lots, put where the addresses are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from correlator.cli.naming import named, named_table
from correlator.render.table import Column

NAMES = {"10.0.0.1": "one", "fd00::1": "six"}
asked: list[set[str]] = []


def find(addresses: Iterable[str]) -> dict[str, str]:
    wanted = set(addresses)
    asked.append(wanted)
    return {address: name for address, name in NAMES.items() if address in wanted}


def test_names_stand_after_their_addresses() -> None:
    (record,) = named([{"rank": 1, "client": "10.0.0.1", "server": "[fd00::1]:443", "value": 7}], find)
    assert list(record.items()) == [
        ("rank", 1), ("client", "10.0.0.1"), ("client_name", "one"),
        ("server", "[fd00::1]:443"), ("server_name", "six"), ("value", 7),
    ]  # fmt: skip


def test_what_has_no_address_is_left_as_it_is() -> None:
    records: list[dict[str, Any]] = [{"period": "2003"}, {"host": "x"}]
    assert list(named(records, find)) == records
    assert list(named([{"client": None, "server": "no address"}], find)) == [
        {"client": None, "client_name": None, "server": "no address", "server_name": None}
    ]


def test_addresses_are_asked_for_in_lots_and_records_come_meanwhile() -> None:
    asked.clear()
    records = ({"client": f"10.0.{number // 250}.{number % 250}"} for number in range(10_000))
    next(named(records, find))
    assert [len(lot) for lot in asked] == [200]


def test_a_table_names_both_sides_or_their_addresses() -> None:
    columns = [Column("label", "name"), Column("value", "n")]
    records = [
        {"label": "a", "client": "10.0.0.1", "server": "10.0.0.2:80"},
        {"label": "b", "server": "[fd00::1]:80"},
        {"label": "c", "client": "10.0.0.3"},
    ]
    found, rows = named_table(columns, records, find)
    assert [column.key for column in found] == ["label", "name", "value"]
    assert [row["name"] for row in rows] == ["one -> 10.0.0.2", "six", None]


def test_a_long_name_is_cut_in_tables(monkeypatch: Any) -> None:
    monkeypatch.setitem(NAMES, "10.0.0.9", "x" * 253)
    _, rows = named_table([Column("label", "l")], [{"label": "l", "client": "10.0.0.9"}], find)
    assert [len(row["name"]) for row in rows] == [40]
