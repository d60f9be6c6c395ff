"""Detection over a real store: what is new is looked at once, in one transaction, and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest
from corr_flows import flow, parts
from corr_store import HOURS, add, stored

from common.errors import UserError
from correlator.detect.habits import Habits
from correlator.detect.settings import DetectSettings
from correlator.detection import Detection, Progress
from correlator.rows import AlarmRow, Selection
from correlator.store import detection as memory
from correlator.store.alarms import select_alarms
from correlator.store.database import Store, writing
from correlator.store.detection import Clients, transaction
from correlator.store.meta import note

# So that a long connection alone is an alarm.
EAGER = DetectSettings(prior=0.005)
LONG_S = 5 * 3600


def alarms(store: Store) -> list[AlarmRow]:
    return [row for row in select_alarms(store.conn, Selection()) if row.kind == "channel"]


def test_what_is_new_is_looked_at_once() -> None:
    with stored([flow(1, length_s=LONG_S)]) as store:
        assert Detection(store, EAGER).run(print) == Progress(1, 1)
        assert Detection(store, EAGER).run(print) == Progress(0, 0)
        assert [(row.severity, row.client) for row in alarms(store)] == [("low", "10.0.0.1")]
        add(store, [flow(2, start_s=3 * 86_400, length_s=LONG_S)])
        assert Detection(store, EAGER).run(print) == Progress(1, 1)


def test_an_open_connection_is_told_before_it_ends_and_as_one_alarm() -> None:
    begun = parts(9, [3600] * 6, closed=False)
    with stored(begun[:3]) as store:
        detection = Detection(store, EAGER)
        assert detection.run(print).alarms == 0
        add(store, begun[3:5])
        assert detection.run(print).alarms == 1
        add(store, begun[5:])
        assert detection.run(print).alarms == 0
        (row,) = alarms(store)
        assert row.seen_count >= 2


def test_memory_is_the_same_whatever_the_steps() -> None:
    records = [*parts(9, [600] * 4, closed=False), *(flow(n, start_s=n * 60) for n in range(20, 40))]

    def kept(batches: int) -> tuple[list[object], list[object]]:
        with stored([]) as store:
            for start in range(0, len(records), batches):
                add(store, records[start : start + batches])
                Detection(store, EAGER).run(print)
            channels = store.conn.execute("SELECT client, peer, port, last_ns FROM detect_channels").fetchall()
            return channels, store.conn.execute("SELECT sensor, flow_id, last_ns FROM detect_flows").fetchall()

    assert kept(1) == kept(7) == kept(100)


def test_beginning_anew_looks_at_everything_again_and_raises_nothing_twice() -> None:
    with stored([flow(1, length_s=LONG_S), flow(2)]) as store:
        detection = Detection(store, EAGER)
        detection.run(print)
        detection.begin_anew()
        assert detection.run(print) == Progress(2, 0)


def test_memory_of_another_layout_is_made_again() -> None:
    with stored([flow(1)]) as store:
        Detection(store, EAGER).run(print)
        store.conn.execute("UPDATE detect_channels SET state = x'c1'")
        note(store.conn, memory.LAYOUT, 0)
        add(store, [flow(2, start_s=60)])
        assert Detection(store, EAGER).run(print).records == 2


def test_other_protocols_are_passed_over_and_not_looked_at_again() -> None:
    with stored([flow(1, protocol=17, length_s=LONG_S)]) as store:
        assert Detection(store, EAGER).run(print) == Progress(1, 0)
        assert not alarms(store)


def test_a_locked_database_is_one_line_and_nothing_is_half_done(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with writing(path, HOURS) as store, writing(path, HOURS) as other:
        add(store, [flow(1, length_s=LONG_S)])
        store.conn.execute("PRAGMA busy_timeout = 10")
        other.conn.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match="locked by another program"):
            Detection(store, EAGER).run(print)
        other.conn.execute("ROLLBACK")
        assert not alarms(store)
        assert Detection(store, EAGER).run(print) == Progress(1, 1)


def test_habits_of_clients_are_kept_whatever_the_steps() -> None:
    records = [flow(n, start_s=n * 20_000, length_s=5, server_port=443 + n % 2) for n in range(40)]

    def kept(batches: int) -> Habits:
        with stored([]) as store:
            for start in range(0, len(records), batches):
                add(store, records[start : start + batches])
                Detection(store, EAGER).run(print)
            with transaction(store) as conn:
                return Clients(conn).of("10.0.0.1")

    assert kept(7) == kept(40)
    assert kept(40).flows > 10
    assert set(kept(40).ports) == {443, 444}


def test_beginning_anew_forgets_habits() -> None:
    with stored([flow(1)]) as store:
        detection = Detection(store, EAGER)
        detection.run(print)
        with transaction(store) as conn:
            assert Clients(conn).of("10.0.0.1") != Habits()
        detection.begin_anew()
        with transaction(store) as conn:
            assert Clients(conn).of("10.0.0.1") == Habits()


def test_a_look_that_takes_long_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("correlator.detection.MANY", 1)
    with stored([flow(1), flow(2)]) as store:
        assert Detection(store, EAGER).behind() == 2
        Detection(store, EAGER).run(said.append)
        assert Detection(store, EAGER).behind() == 0
        Detection(store, EAGER).run(said.append)
    assert len(said) == 1
    assert said[0].startswith("looking for tunnels in 2 records")
