"""What the spool does as time goes by: ages, syncs, and the notes from run to run."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from rec_records import RUN, S, frame
from spools import OLD, exhaust, leave, segments, spool, tended, throw

from sensor.ship.losses import AGE


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


class TestAge:
    def test_what_is_too_old_is_dropped_by_segments_counted_and_said(self, directory):
        held = spool(directory, max_age_ns=40 * S)
        dropped = []
        for second in range(100):
            dropped += tended(held, second)
            held.append(second + 1, frame(second + 1))
            assert held.lag_ns <= 51 * S
        assert held.losses.by_reason == {AGE: dropped[-1][1]}
        assert 45 <= dropped[-1][1] <= 59
        assert held.read(RUN, dropped[-1][1] + 1) is not None
        (line,) = held.news()
        assert f"lost {dropped[-1][1]} frames that the correlator had not taken: " in line
        assert line.endswith(" older than spool_max_age_s")
        assert tended(held, 200)[-1] == (RUN, 100)
        assert segments(directory) == []
        held.append(101, frame(101))
        assert held.read(RUN, 101) == frame(101)
        held.close()

    def test_what_an_earlier_run_left_is_as_old_as_its_file(self, directory):
        leave(directory, 1)
        (path,) = directory.glob("*.flowlog")
        os.utime(path, ns=(RUN - 100 * S, RUN - 100 * S))
        held = spool(directory, max_age_ns=110 * S)
        assert list(held.recover()) == [(OLD, 1)]
        assert tended(held, 5) == []
        assert held.lag_ns == 105 * S
        assert tended(held, 11) == [(OLD, 1)]
        held.close()

    def test_the_lag_is_that_of_the_oldest_frame_that_waits(self, directory):
        held = spool(directory, segment_bytes=1 << 16)
        for second in range(600):
            tended(held, second)
            held.append(second + 1, frame(second + 1))
            if second < 500:
                held.acknowledge(RUN, second + 1)
                assert held.lag_ns == 0
        assert held.lag_ns == 99 * S
        held.acknowledge(RUN, 550)
        assert 49 * S <= held.lag_ns <= 99 * S
        held.close()


class TestIdle:
    def test_a_segment_of_which_nothing_waits_is_deleted_after_a_minute(self, directory):
        held = spool(directory)
        held.append(1, frame(1))
        held.acknowledge(RUN, 1)
        tended(held, 59)
        assert len(segments(directory)) == 1
        tended(held, 60)
        assert (segments(directory), held.size_bytes) == ([], 0)
        held.append(2, frame(2))
        tended(held, 500)
        assert held.read(RUN, 2) == frame(2)
        held.close()


class TestSync:
    @pytest.fixture
    def synced(self, monkeypatch):
        """What was synced, by name."""
        calls: list[str] = []
        for name in ("fdatasync", "fsync"):
            original = getattr(os, name)

            def counting(opened: int, name: str = name, original: Any = original) -> None:
                calls.append(name)
                original(opened)

            monkeypatch.setattr(os, name, counting)
        return calls

    def test_batch_syncs_once_a_turn_however_many_frames_it_had(self, directory, synced):
        held = spool(directory, fsync="batch")
        for turn in range(3):
            for sequence in range(turn * 10 + 1, turn * 10 + 11):
                held.append(sequence, frame(sequence))
            assert len(synced) == turn + min(turn, 1)
            tended(held, turn / 10)
        assert synced == ["fdatasync", "fsync", "fdatasync", "fdatasync"]
        tended(held, 9)
        assert len(synced) == 4
        held.close()

    def test_interval_syncs_no_more_often_than_that(self, directory, synced):
        held = spool(directory, fsync="interval", fsync_interval_ns=S)
        for tenth in range(31):
            tended(held, tenth / 10)
            held.append(tenth + 1, frame(tenth + 1))
        assert synced.count("fdatasync") == 3
        held.close()
        assert synced.count("fdatasync") == 4

    def test_never_does_not(self, directory, synced):
        held = spool(directory, fsync="never", segment_bytes=1)
        for second in range(5):
            held.append(second + 1, frame(second + 1))
            tended(held, second)
        held.acknowledge(RUN, 5)
        held.close()
        assert synced == []

    @pytest.mark.parametrize("fsync", ["batch", "interval"])
    def test_the_directory_is_synced_when_a_segment_is_made_or_deleted(self, directory, synced, fsync):
        held = spool(directory, fsync=fsync, segment_bytes=1)
        tended(held, 0)
        held.append(1, frame(1))
        held.append(2, frame(2))
        tended(held, 1)
        assert synced == ["fdatasync", "fdatasync", "fsync"]  # the full segment's, then the turn's
        held.acknowledge(RUN, 1)
        tended(held, 3)
        assert synced[3:] == ["fsync"]
        held.close()

    def test_a_sync_that_fails_is_said_and_tried_again(self, directory, monkeypatch):
        held = spool(directory, fsync="batch")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fdatasync", lambda _: throw(OSError(errno.EIO, "Input/output error")))
            held.append(1, frame(1))
            tended(held, 1)
        assert held.news() == [
            f"cannot sync the spool {directory}: Input/output error; a power cut may take what was written last"
        ]
        tended(held, 20)
        assert held.news() == [f"the spool {directory} can be synced again"]
        held.close()


class TestTheRunBefore:
    def test_one_that_was_killed_is_said_and_counted_by_all_that_follow(self, directory):
        held = spool(directory, OLD)
        tended(held, 0)
        held.note(12, 345)
        held._close_writing()
        held._lock.close()
        for expected in (1, 1):
            after = spool(directory)
            exhaust(after.recover())
            assert after.unclean_stops == expected
            tended(after, 0)
            said = after.damage
            after.close()
        assert said == []

    def test_a_start_that_failed_forgets_nothing(self, directory):
        held = spool(directory, OLD)
        tended(held, 0)
        held._lock.close()
        for _ in range(2):
            after = spool(directory)
            exhaust(after.recover())
            after.close()
            assert "ended without a stop" in after.damage[0]
