"""What ``serve`` does for its store between two turns."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import NS, T0, batch, flow, header
from corr_link import Sensor, serving
from corr_store import HOURS, add
from rec_router import until

from correlator import upkeep
from correlator.config import DAY_S, RetentionSettings
from correlator.store.database import LOG_BYTES, Store, log_bytes, reading, writing
from correlator.store.retention import Pruner
from correlator.store.writer import Writer
from correlator.upkeep import Upkeep

NOW = T0 + 400 * DAY_S * NS
OLD = [flow(number) for number in range(3)]
NEW = [flow(9, start_s=300 * DAY_S)]


def count(store: Store) -> int:
    return int(store.conn.execute("SELECT count(*) FROM flow_records").fetchone()[0])


def test_what_is_old_goes_a_little_in_every_quiet_turn_and_is_told_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, [*OLD, *NEW])
    monkeypatch.setattr(Pruner.step, "__defaults__", (2,))
    found = Upkeep(store, RetentionSettings(), 0)
    assert found.turn(NOW, 0, quiet=True) == []
    assert count(store) == 2
    assert found.turn(NOW, 1, quiet=True) == []
    assert count(store) == 1
    assert found.turn(NOW, 2, quiet=True) == [
        "retention: 3 flow records from before 2024-08-10T22:00:00Z and 0 periods removed"
    ]
    assert found.turn(NOW, 60 * NS, quiet=True) == []


def test_while_sensors_send_it_waits_between_two_steps(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, [*OLD, *NEW])
    monkeypatch.setattr(Pruner.step, "__defaults__", (1,))
    found = Upkeep(store, RetentionSettings(), 0)
    for at_ns, left in ((0, 3), (1, 3), (NS // 10, 2), (NS // 5 - 1, 2), (NS // 5, 1)):
        found.turn(NOW, at_ns, quiet=False)
        assert count(store) == left


def test_with_nothing_to_remove_it_looks_every_ten_seconds(store: Store) -> None:
    add(store, NEW)
    found = Upkeep(store, RetentionSettings(), 0)
    found.turn(NOW, 0, quiet=True)
    add(store, OLD)
    found.turn(NOW, 10 * NS - 1, quiet=True)
    assert count(store) == 4
    found.turn(NOW, 10 * NS, quiet=True)
    assert count(store) == 1


def test_a_store_that_cannot_shrink_below_its_bound_is_told_once_an_hour(store: Store) -> None:
    add(store, NEW)
    found = Upkeep(store, RetentionSettings(max_bytes=1), 0)
    (line,) = found.turn(NOW, 0, quiet=True)
    assert "is over max_bytes = 1 with no more flows to remove" in line
    assert found.turn(NOW, 60 * NS, quiet=True) == []
    assert len(found.turn(NOW, 3600 * NS, quiet=True)) == 1
    assert count(store) == 1


def test_a_reader_of_an_old_moment_makes_the_log_grow_and_it_shrinks_when_that_is_gone(
    store: Store, db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 64 << 10
    monkeypatch.setattr(upkeep, "_LONG_LOG", 8 * limit)
    store.conn.execute("PRAGMA wal_autocheckpoint = 8")
    store.conn.execute(f"PRAGMA journal_size_limit = {limit}")
    add(store, NEW)
    found = Upkeep(store, RetentionSettings(), 0)
    writer = Writer(store)

    def write() -> None:
        with writer.transaction():
            writer.set_marks({("tap", number): 1 for number in range(4000)})
            store.conn.execute("DELETE FROM sensor_runs")

    with reading(db) as reader:
        before = count(reader)
        while log_bytes(db) <= 8 * limit:
            write()
        (line,) = found.turn(NOW, 0, quiet=True)
        assert "another program reads an old moment" in line
        assert count(reader) == before
    write()  # copies everything back
    with writer.transaction():  # begins the log anew
        writer.set_marks({("tap", 1): 1})
    assert log_bytes(db) <= limit
    assert found.turn(NOW, 3600 * NS, quiet=True) == []


def test_the_log_is_given_back_above_its_usual_size(store: Store) -> None:
    assert store.conn.execute("PRAGMA journal_size_limit").fetchone() == (LOG_BYTES,)
    (pages,) = store.conn.execute("PRAGMA wal_autocheckpoint").fetchone()
    assert pages * store.conn.execute("PRAGMA page_size").fetchone()[0] == LOG_BYTES


def test_serve_removes_what_is_old_while_it_runs(db: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("[retention]\nflows_days = 1\n")
    with writing(db, HOURS) as store:
        add(store, [*OLD, *NEW])
    with serving(db, "--config", str(config)) as correlator, Sensor(correlator.endpoint) as sensor:
        until(lambda: _left(db) == [9], sensor.ping)
        sensor.hello(header())
        sensor.send(batch([flow(1), flow(10, start_s=300 * DAY_S)], 1))
        sensor.answered_up_to(1)
        assert correlator.stop() == 0
    assert set(_left(db)) - {1} == {9, 10}  # what comes late is counted, and goes with the next that is due
    assert Cli(db).json("summary")["connections"] == 6


def _left(db: Path) -> list[int]:
    with reading(db) as store:
        return sorted(number for (number,) in store.conn.execute("SELECT flow_id FROM flow_records"))
