"""Numbers stand for the same thing for ever."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from corr_flows import flow

from correlator.config import Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.rows import Selection
from correlator.store import numbers, queries
from correlator.store.database import Built, Store, StoreUnavailableError, writing
from correlator.store.writer import Writer

A, B, C = (bytes((10, 0, 0, last)) for last in (1, 2, 3))


@pytest.fixture
def store(db: Path) -> Iterator[Store]:
    with writing(db, Built(3600, 300)) as opened:
        yield opened


def test_each_thing_has_one_number_however_often_it_is_asked_for(store: Store) -> None:
    clients = numbers.clients(store.conn)
    assert clients.of([A, B, A, A]) == [1, 2, 1, 1]
    assert clients.of([B, C]) == [2, 3]
    assert store.conn.execute("SELECT client FROM clients ORDER BY client_id").fetchall() == [
        ("10.0.0.1",),
        ("10.0.0.2",),
        ("10.0.0.3",),
    ]


def test_numbers_given_by_another_are_found(store: Store) -> None:
    assert numbers.services(store.conn).of([(A, 443, 6), (A, 443, 17)]) == [1, 2]
    assert numbers.services(store.conn).of([(A, 443, 17), (A, 80, 6)]) == [2, 3]


def test_what_was_rolled_back_is_not_remembered_once_it_is_forgotten(store: Store) -> None:
    clients = numbers.clients(store.conn)
    store.conn.execute("BEGIN")
    assert clients.of([A, B]) == [1, 2]
    store.conn.execute("ROLLBACK")
    clients.forget()
    assert clients.of([B]) == [1]


def test_more_than_is_remembered_still_have_their_numbers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_REMEMBERED", 3)
    clients = numbers.clients(store.conn)
    addresses = [bytes((10, 0, 1, last)) for last in range(10)]
    first = [number for address in addresses for number in clients.of([address])]
    assert first == list(range(1, 11))
    assert clients.of(addresses) == first


def test_a_full_disk_leaves_no_number_behind_that_nothing_has(store: Store) -> None:
    pipeline = Pipeline(Writer(store), Thresholds())
    pages = store.conn.execute("PRAGMA page_count").fetchone()[0]
    store.conn.execute(f"PRAGMA max_page_count = {pages + 2}")
    many = [("tap", flow(n, client_ip=f"10.1.{n // 250}.{n % 250}")) for n in range(1, 4000)]
    with pytest.raises(StoreUnavailableError, match="no room left"):
        pipeline.store_records(many, 0)
    store.conn.execute("PRAGMA max_page_count = 1000000")
    pipeline.store_records(many[9:10], 0)
    assert [row.client for row in queries.channels(store, Selection())] == ["10.1.0.10"]
