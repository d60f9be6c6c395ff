"""A sensor's records fill only so many rows, over all of its frames."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from corr_flows import NS, batch, flow, header

from common.flowlog import Batch
from correlator.config import SensorLimits, Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.ingest.receiver import Accepted
from correlator.ingest.spread import MAX_DURATION_NS, Spread
from correlator.store.database import Built, Store, writing
from correlator.store.writer import Writer

HOUR_NS = 3600 * NS
T0 = 10**18


def test_one_record_may_last_as_long_as_any_can_and_the_next_its_share() -> None:
    spread = Spread(HOUR_NS)
    assert spread.takes("a", MAX_DURATION_NS)
    assert not spread.takes("a", 2 * HOUR_NS + 1)
    assert spread.takes("a", 2 * HOUR_NS)
    assert not spread.takes("a", HOUR_NS + 1)


def test_short_records_make_room_again_but_no_more_than_there_was() -> None:
    spread = Spread(HOUR_NS)
    assert spread.takes("a", MAX_DURATION_NS)
    assert spread.takes_all("a", 20_000, 0)
    assert spread.takes("a", MAX_DURATION_NS)
    assert not spread.takes("a", MAX_DURATION_NS)


def test_records_together_need_room_for_the_worst_order() -> None:
    spread = Spread(HOUR_NS)
    assert not spread.takes_all("a", 1_000_000, MAX_DURATION_NS + 1)
    assert spread.takes_all("a", 1, MAX_DURATION_NS)
    assert not spread.takes_all("a", 100, HOUR_NS + 1)


def test_each_sensor_has_its_own_room() -> None:
    spread = Spread(0)
    assert spread.takes("a", MAX_DURATION_NS)
    assert not spread.takes("a", 1)
    assert spread.takes("b", 1)


def test_more_sensors_than_are_remembered_take_no_memory() -> None:
    spread = Spread(0)
    for number in range(5000):
        assert spread.takes(str(number), MAX_DURATION_NS)
    assert spread.takes("0", 1)  # forgotten
    assert not spread.takes("4999", 1)


def test_what_was_taken_before_an_error_is_given_back() -> None:
    spread = Spread(0)
    with suppress(OSError), spread.transaction():
        assert spread.takes("a", MAX_DURATION_NS)
        raise OSError
    assert spread.takes("a", MAX_DURATION_NS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with writing(tmp_path / "a.db", Built(3600, 300)) as store:
        yield store


def long_ones(sequence: int, count: int, duration_ns: int) -> Batch:
    rows = [flow(sequence * 100 + n, start_ns=T0, end_ns=T0 + duration_ns, client_port=n) for n in range(count)]
    return batch(rows, sequence)


def taken(pipeline: Pipeline, *frames: Batch) -> list[int]:
    verdicts = pipeline.store_frames(frames, T0 + 100 * MAX_DURATION_NS).verdicts
    return [verdict.taken for verdict in verdicts if isinstance(verdict, Accepted)]


def test_over_the_link_records_of_many_frames_share_one_room(store: Store) -> None:
    pipeline = Pipeline(Writer(store), Thresholds(), SensorLimits())
    pipeline.receiver.open_run(header())
    day_ns = 24 * HOUR_NS
    frames = [long_ones(sequence, 5, 10 * day_ns) for sequence in range(1, 21)]
    assert sum(taken(pipeline, *frames[:10])) == 43  # 416 days, and 8 hours each
    assert sum(taken(pipeline, *frames[10:])) == 0
    assert taken(pipeline, long_ones(21, 5, 60 * NS)) == [5]


def test_a_transaction_that_fails_takes_no_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = Writer(store)
    pipeline = Pipeline(writer, Thresholds(), SensorLimits())
    pipeline.receiver.open_run(header())

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(writer, "add_records", full)
        for _ in range(3):
            with pytest.raises(Exception, match="full"):
                taken(pipeline, long_ones(1, 1, MAX_DURATION_NS >> 6))
    assert taken(pipeline, long_ones(1, 1, MAX_DURATION_NS)) == [1]
