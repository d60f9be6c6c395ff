"""The watch over sensors on a real database, with the clocks handed in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from corr_flows import T0, batch, flow, header

from common.records import SensorStats
from correlator.config import SensorLimits, Thresholds
from correlator.detect.alarm import Alarm
from correlator.ingest.pipeline import Pipeline
from correlator.rows import AlarmRow, Selection
from correlator.store import sensors
from correlator.store.alarms import select_alarms
from correlator.store.database import Built, Store, StoreUnavailableError, writing
from correlator.store.writer import Writer
from correlator.watch import Watch

S = 1_000_000_000


@pytest.fixture
def store(db: Path) -> Iterator[Store]:
    with writing(db, Built(3600, 300)) as opened:
        yield opened


class Serve:
    """What the service does with pipeline and watch, without sockets; ``now_s`` counts from T0."""

    def __init__(self, store: Store, now_s: float = 0, limits: SensorLimits | None = None) -> None:
        self._limits = limits or SensorLimits()
        self.pipeline = Pipeline(Writer(store), Thresholds(), self._limits)
        self.now_s = now_s
        self.watch = Watch(Writer(store), self._limits, T0 + int(now_s * S), int(now_s * S))
        self.sequence = 0
        self.pipeline.receiver.open_run(header())

    def pass_time(self, seconds: float, *, speaking: bool = False) -> list[Alarm]:
        """Turn every five seconds; return the alarms."""
        found = []
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += 5
            if speaking:
                self.watch.heard(["tap"], T0 + int(self.now_s * S))
            found += self.watch.turn(T0 + int(self.now_s * S), int(self.now_s * S))
        return found

    def take(self, *stats: SensorStats, skip: int = 0) -> None:
        """Take a frame of statistics, or of a flow if there are none."""
        self.sequence += 1 + skip
        frame = batch(stats, self.sequence, kind="stats") if stats else batch([flow(self.sequence)], self.sequence)
        now_ns = T0 + int(self.now_s * S)
        self.watch.heard(["tap"], now_ns)
        self.pipeline.store_frames([frame], now_ns, self.watch.steady(["tap"], now_ns))


def stats(at_s: float, **fields: Any) -> SensorStats:
    return SensorStats(T0 + int(at_s * S), "1.0", "eth0", heartbeat_s=60)._replace(**fields)


def raised(store: Store) -> dict[str, AlarmRow]:
    """The alarms about sensors by rule; there is one of each at most."""
    rows = [row for row in select_alarms(store.conn, Selection()) if row.kind == "sensor"]
    assert len({row.rule for row in rows}) == len(rows)
    return {row.rule: row for row in rows}


def test_a_sensor_that_stops_raises_one_alarm_and_is_seen_again_every_hour(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    assert serve.pass_time(300) == []
    (alarm,) = serve.pass_time(10)
    assert alarm.message.startswith("sensor tap: silent for 300 s, since 2023-11-14T22:13:20")
    assert serve.pass_time(3500) == []
    assert len(serve.pass_time(7200)) == 2
    assert (raised(store)["silent"].seen_count, raised(store)["silent"].sensor) == (3, "tap")


def test_signs_of_life_are_contacts(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    assert serve.pass_time(1000, speaking=True) == []
    (row,) = sensors.sensors(store.conn)
    assert row.link_contact_ns == T0 + 1000 * S


def test_signs_of_life_cost_a_write_in_five_seconds_at_most(store: Store) -> None:
    serve = Serve(store)
    before = store.conn.total_changes
    for tenths in range(100):
        serve.watch.heard(["tap"], T0 + tenths * S // 10)
        serve.watch.turn(T0 + tenths * S // 10, tenths * S // 10)
    assert store.conn.total_changes - before == 1


def test_a_second_silence_is_a_second_alarm(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    assert len(serve.pass_time(400)) == 1
    serve.take(stats(400))
    assert len(serve.pass_time(400)) == 1
    assert len([row for row in select_alarms(store.conn, Selection()) if row.rule == "silent"]) == 2


def test_silence_outlasts_a_restart_after_a_time_of_grace(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    serve.pass_time(10)
    after = Serve(store, now_s=1000)
    assert after.pass_time(300) == []
    (alarm,) = after.pass_time(10)
    assert "silent for 1300 s" in alarm.message


def test_after_a_restart_a_silence_that_was_told_is_not_told_again(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    assert len(serve.pass_time(310)) == 1
    after = Serve(store, now_s=320)
    after.pass_time(1000)
    assert raised(store)["silent"].seen_count <= 2


@pytest.mark.parametrize(("now_s", "monotonic_s"), [(2000, 2000), (2000, 15)])
def test_a_pause_or_a_clock_that_was_set_gives_everybody_time(store: Store, now_s: int, monotonic_s: int) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    serve.pass_time(10)
    assert serve.watch.turn(T0 + now_s * S, monotonic_s * S) == []
    assert serve.watch.turn(T0 + (now_s + 300) * S, (monotonic_s + 300) * S) == []


def test_a_retired_sensor_is_left_alone_until_it_speaks(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0))
    serve.pass_time(10)
    assert sensors.retire(store.conn, "tap", T0 + 20 * S)
    assert serve.pass_time(10_000) == []
    serve.take(stats(10_000))
    serve.pass_time(5)
    assert sensors.sensors(store.conn)[0].retired_ns is None
    assert len(serve.pass_time(400)) == 1


def test_nobody_waits_for_a_sensor_that_read_files(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0, heartbeat_s=0))
    assert serve.pass_time(1000) == []


def test_a_sensor_that_never_gave_statistics_is_waited_for(store: Store) -> None:
    serve = Serve(store)
    serve.watch.heard(["tap"], T0)
    assert len(serve.pass_time(400)) == 1


def test_losses_are_judged_against_the_statistics_before(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0, packets=10_000, kernel_drops=5))
    assert raised(store) == {}
    serve.take(stats(60, packets=11_000, kernel_drops=10, interface_drops=5))
    assert raised(store)["drops"].message == "sensor tap: lost 10 of 1010 packets (0.99 %), limit 0.1 %"
    serve.take(stats(120, packets=20_000, kernel_drops=10, interface_drops=5))
    assert raised(store)["drops"].seen_count == 1
    serve.take(stats(180, packets=20_000, kernel_drops=11, interface_drops=5))
    assert (raised(store)["drops"].seen_count, "(100 %)" in raised(store)["drops"].message) == (2, True)


def test_losses_that_come_in_one_frame_are_each_judged(store: Store) -> None:
    serve = Serve(store)
    first = stats(0, packets=1000)
    serve.take(first, stats(60, packets=1100, kernel_drops=100), stats(120, packets=10**6, kernel_drops=100))
    assert "lost 100 of 200 packets" in raised(store)["drops"].message


def test_a_new_run_counts_from_nothing(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0, packets=10_000, kernel_drops=1))
    serve.take(stats(60, packets=500, kernel_drops=0))
    serve.take(stats(120, packets=600, kernel_drops=100))
    assert "lost 100 of 200 packets" in raised(store)["drops"].message


def test_a_spool_that_fills_or_loses_raises_alarms(store: Store) -> None:
    serve = Serve(store, limits=SensorLimits(spool_bytes=1000))
    serve.take(stats(0, spool_bytes=1000, frames_dropped=2))
    assert set(raised(store)) == {"spool-losses"}
    serve.take(stats(60, spool_bytes=1001, frames_dropped=2))
    assert raised(store)["spool"].message == "sensor tap: 1001 bytes wait in its spool, limit 1000 bytes"
    assert raised(store)["spool-losses"].seen_count == 1
    serve.take(stats(120, frames_unacknowledged=10_001))
    assert raised(store)["spool"].seen_count == 2


def test_no_traffic_is_one_alarm_an_episode(store: Store) -> None:
    serve = Serve(store)
    for minute in range(20):
        serve.take(stats(60 * minute, packets=5))
    alarm = raised(store)["no-traffic"]
    assert alarm.message == "sensor tap: has seen no packet for 1140 s, limit 900 s"
    assert alarm.seen_count == 4
    serve.take(stats(1260, packets=6))
    assert sensors.sensors(store.conn)[0].account.traffic_ns == T0 + 1260 * S  # type: ignore[union-attr]


def test_a_clock_that_is_off_raises_an_alarm_once_the_link_is_steady(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(-90))
    serve.pass_time(30, speaking=True)
    serve.take(stats(-60))
    assert raised(store) == {}
    serve.pass_time(30, speaking=True)
    serve.take(stats(-30))
    assert raised(store)["clock"].message == "sensor tap: its clock is 90 s behind, limit 60 s"


def test_statistics_that_were_held_back_say_nothing_of_the_clock(store: Store) -> None:
    serve = Serve(store)
    serve.take(stats(0, packets=1))
    serve.pass_time(60, speaking=True)
    serve.pass_time(200)
    # The link is back: the first frame of the outage had none before it, and is old nevertheless.
    serve.take(stats(65, packets=2))
    assert raised(store) == {}
    # A backlog takes long: what it brings had many frames before it.
    serve.pass_time(120, speaking=True)
    serve.take(stats(120, packets=3, frames_unacknowledged=500))
    assert raised(store) == {}
    serve.take(stats(serve.now_s, packets=4))
    assert raised(store) == {}


def test_gaps_and_refusals_raise_alarms(store: Store) -> None:
    serve = Serve(store)
    serve.take()
    serve.take(skip=2)
    assert (
        raised(store)["frames-missing"].message == "sensor tap: 2 of its frames never came, and what they held is lost"
    )
    serve.pipeline.store_frames([batch([flow(1)], 9, run=8)], T0)
    assert raised(store)["frames-refused"].message.startswith("sensor tap: 1 of its frames were")


def test_old_files_raise_no_alarm_about_sensors(store: Store) -> None:
    pipeline = Pipeline(Writer(store), Thresholds())
    pipeline.receiver.open_run(header())
    pipeline.store_frames([batch([stats(0, packets=1, kernel_drops=9)], 4, kind="stats")], T0)
    assert raised(store) == {}


def test_what_cannot_be_written_now_is_written_later(store: Store, db: Path) -> None:
    serve = Serve(store)
    store.conn.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailableError):
            serve.pass_time(5, speaking=True)
    serve.pass_time(5)
    assert sensors.sensors(store.conn)[0].link_contact_ns == T0 + 5 * S
