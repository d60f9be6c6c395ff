"""Numbers that a store keeps about itself."""

from __future__ import annotations

from correlator.store.database import Built, Store, built
from correlator.store.meta import FLOWS_REMOVED, note, noted


def test_a_number_is_nothing_until_it_is_noted_and_then_the_last_one(store: Store) -> None:
    assert noted(store.conn, FLOWS_REMOVED) == 0
    note(store.conn, FLOWS_REMOVED, 3600)
    note(store.conn, FLOWS_REMOVED, 7200)
    assert noted(store.conn, FLOWS_REMOVED) == 7200
    assert built(store.conn) == Built(3600, 300)
