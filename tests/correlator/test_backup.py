"""A copy is the store at one moment, whole or not there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from corr_flows import flow
from corr_store import add, rollups_of

from correlator.store import backup
from correlator.store.database import Store, reading


def test_a_copy_is_of_the_moment_at_which_it_began(store: Store, db: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    add(store, [flow(number, start_s=number * 60) for number in range(500)], 500)
    before = rollups_of(store)
    with reading(db) as source:
        add(store, [flow(1000)])
        backup.copy(source, target)
    with reading(target) as found:
        assert rollups_of(found) == before
        assert found.conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_writing_goes_on_between_its_steps_and_does_not_begin_it_anew(store: Store, db: Path, tmp_path: Path) -> None:
    add(store, [flow(number, start_s=number * 60) for number in range(500)], 500)
    steps: list[int] = []

    class Watched(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, **_how: object) -> None:
            def progress(_status: int, left: int, _total: int) -> None:
                steps.append(left)
                add(store, [flow(10_000 + len(steps))])

            super().backup(target, pages=4, progress=progress)

    conn = sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None, factory=Watched)
    conn.execute("BEGIN")
    assert conn.execute("SELECT count(*) FROM flow_records").fetchone() == (500,)
    backup.copy(store._replace(conn=conn), tmp_path / "copy.db")
    conn.close()
    assert len(steps) > 5
    assert steps == sorted(steps, reverse=True)
    with reading(tmp_path / "copy.db") as found:
        assert found.conn.execute("SELECT count(*) FROM flow_records").fetchone() == (500,)
    assert store.conn.execute("SELECT count(*) FROM flow_records").fetchone() == (500 + len(steps),)
