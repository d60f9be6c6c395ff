from __future__ import annotations

import os
import tempfile
import tracemalloc
import zlib
from itertools import count
from pathlib import Path

import pytest
from disks import disk
from hypothesis import given, settings
from hypothesis import strategies as st
from rec_records import RUN, flow, flow_log, frame, header
from spools import MIB, OLD, exhaust, fill, last_of, leave, segments, spool, tended

from common.errors import UserError
from common.flowlog import FILE_HEADER, Frame, check_file_header, decode_frame, scan_frames
from sensor.ship.losses import LOST, SIZE
from sensor.ship.spool import SpoolFullError


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "spool"


class TestOneRun:
    def test_a_frame_is_read_back_as_it_was_written(self, directory):
        held = spool(directory)
        for sequence in (1, 2, 3):
            assert held.append(sequence, frame(sequence)) == []
        assert [held.read(RUN, sequence) for sequence in (3, 1, 2)] == [frame(3), frame(1), frame(2)]
        assert held.read(RUN, 4) is None
        assert held.read(OLD, 1) is None
        held.close()

    def test_a_segment_is_a_valid_flow_log_at_any_moment(self, directory):
        held = spool(directory)
        for sequence in range(1, 4):
            held.append(sequence, frame(sequence))
            (path,) = directory.glob("*.flowlog")
            data = memoryview(path.read_bytes())
            items = list(scan_frames(data, check_file_header(data)))
            assert [bytes(item.raw) for item in items if isinstance(item, Frame)] == [
                header(), *(frame(n) for n in range(1, sequence + 1)),
            ]  # fmt: skip
        held.close()

    def test_full_segments_are_followed_by_new_ones(self, directory):
        held = spool(directory, segment_bytes=2 * len(frame(1)) + len(header()) + len(FILE_HEADER))
        for sequence in range(1, 6):
            held.append(sequence, frame(sequence))
        assert segments(directory) == [f"{RUN:020d}-{number:06d}.flowlog" for number in (1, 2, 3)]
        assert held.size_bytes == sum(path.stat().st_size for path in directory.glob("*.flowlog"))
        held.close()

    def test_an_acknowledgement_deletes_the_segments_it_covers(self, directory):
        held = spool(directory, segment_bytes=1)
        for sequence in range(1, 5):
            held.append(sequence, frame(sequence))
        held.acknowledge(RUN, 2)
        assert [name[-9:-8] for name in segments(directory)] == ["3", "4"]
        assert held.read(RUN, 2) is None
        assert held.read(RUN, 3) == frame(3)
        held.acknowledge(RUN + 5, 99)
        assert len(segments(directory)) == 2
        held.close()

    def test_the_segment_being_written_stays_until_it_is_full(self, directory):
        held = spool(directory)
        held.append(1, frame(1))
        held.acknowledge(RUN, 1)
        held.append(2, frame(2))
        assert len(segments(directory)) == 1
        assert held.read(RUN, 2) == frame(2)
        held.close()

    def test_close_leaves_nothing_when_all_is_acknowledged(self, directory):
        held = spool(directory, segment_bytes=1)
        for sequence in (1, 2, 3):
            held.append(sequence, frame(sequence))
        held.acknowledge(RUN, 3)
        held.close()
        assert segments(directory) == []
        assert held.size_bytes == 0

    def test_close_keeps_what_is_not_acknowledged(self, directory):
        held = spool(directory)
        held.append(1, frame(1))
        held.close()
        assert list(spool(directory, RUN + 1).recover()) == [(RUN, 1)]

    def test_a_frame_whose_file_is_gone_is_counted_as_dropped(self, directory):
        held = spool(directory)
        held.append(1, frame(1))
        for path in directory.glob("*.flowlog"):
            path.unlink()
        assert held.read(RUN, 1) is None
        assert held.read(RUN, 1) is None
        assert held.losses.by_reason == {LOST: 1}
        held.close()


def test_nobody_else_can_read_what_waits(directory):
    before = os.umask(0)
    try:
        held = spool(directory, segment_bytes=1)
        held.append(1, frame(1))
        held.append(2, frame(2))
        paths = list(directory.iterdir())
        assert len(segments(directory)) == 2
        assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
        assert directory.stat().st_mode & 0o777 == 0o700
        held.close()
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    finally:
        os.umask(before)


class TestBound:
    @pytest.mark.parametrize("segment_bytes", [1, 5000, MIB])
    def test_the_oldest_are_dropped_and_counted(self, directory, segment_bytes):
        """Also when a segment may be larger than the bound."""
        raw = [frame(sequence, [flow()] * 4) for sequence in range(1, 201)]
        limit = 40 * len(raw[-1]) + 10 * len(header())
        held = spool(directory, max_bytes=limit, segment_bytes=segment_bytes)
        dropped = []
        for sequence in range(1, 201):
            dropped += held.append(sequence, raw[sequence - 1])
            assert held.size_bytes <= limit
            assert held.size_bytes == sum(path.stat().st_size for path in directory.glob("*.flowlog"))
        gone = dropped[-1][1]
        assert dropped == sorted(dropped)
        assert held.losses.by_reason == {SIZE: gone}
        assert held.read(RUN, gone) is None
        assert all(held.read(RUN, sequence) == raw[sequence - 1] for sequence in range(gone + 1, 201))
        # Every segment has a header, so few frames fit when each has a segment of its own.
        assert 200 - gone >= (10 if segment_bytes == 1 else 25)
        held.close()

    def test_acknowledged_frames_are_not_counted_as_dropped(self, directory):
        held = spool(directory, max_bytes=4 * len(frame(1)) + 4000, segment_bytes=2000)
        held.append(1, frame(1))
        held.acknowledge(RUN, 1)
        for sequence in range(2, 40):
            held.append(sequence, frame(sequence))
            held.acknowledge(RUN, sequence)
        assert held.frames_dropped == 0
        held.close()

    def test_one_frame_over_the_bound_is_kept(self, directory):
        held = spool(directory, max_bytes=100, segment_bytes=50)
        assert held.append(1, frame(1)) == []
        assert held.append(2, frame(2)) == [(RUN, 1)]
        assert held.read(RUN, 2) == frame(2)
        held.close()


class TestRecovery:
    def test_what_earlier_runs_left_comes_oldest_first(self, directory):
        leave(directory, 1, 2, run=OLD)
        leave(directory, 7, 8, run=OLD - 1)
        held = spool(directory)
        assert list(held.recover()) == [(OLD - 1, 7), (OLD - 1, 8), (OLD, 1), (OLD, 2)]
        assert held.read(OLD, 2) == frame(2, run=OLD)
        assert held.header(OLD) == header(run=OLD)
        assert held.header(RUN) == header()
        assert held.header(5) is None
        held.append(1, frame(1))
        held.acknowledge(OLD - 1, 8)
        held.acknowledge(OLD, 2)
        assert segments(directory) == [f"{RUN:020d}-000001.flowlog"]
        held.close()

    def test_a_torn_tail_costs_only_the_frame_that_was_being_written(self, directory):
        directory.mkdir()
        path = directory / f"{OLD:020d}-000001.flowlog"
        parts = [FILE_HEADER, header(run=OLD), frame(1, run=OLD), frame(2, run=OLD)]
        content = b"".join(parts)
        first = len(parts[0]) + len(parts[1])
        for length in range(len(content) + 1):
            path.write_bytes(content[:length])
            whole = sum(length >= first + len(frame(1, run=OLD)) * number for number in (1, 2))
            held = spool(directory)
            assert list(held.recover()) == [(OLD, sequence) for sequence in range(1, whole + 1)]
            assert held.damaged == 0
            assert all(held.read(OLD, sequence) == parts[sequence + 1] for sequence in range(1, whole + 1))
            assert path.exists() == bool(whole)
            held.acknowledge(OLD, whole)
            held.close()
            assert not path.exists()

    def test_a_tail_of_zeros_from_any_byte_on_costs_only_the_frames_it_covers(self, directory):
        """As ext4 leaves a file whose length reached the disk before its data."""
        directory.mkdir()
        path = directory / f"{OLD:020d}-000001.flowlog"
        frames = [frame(number, run=OLD) for number in (1, 2)]
        content = flow_log(header(run=OLD), *frames)
        first = len(content) - len(frames[0]) - len(frames[1])
        for length in range(len(content)):
            path.write_bytes(content[:length] + bytes(len(content) - length))
            whole = [n for n in (1, 2) if path.read_bytes()[first:].startswith(b"".join(frames[:n]))] or [0]
            held = spool(directory)
            assert list(held.recover()) == [(OLD, sequence) for sequence in range(1, whole[-1] + 1)]
            assert [held.read(OLD, n) for n in range(1, whole[-1] + 1)] == frames[: whole[-1]]
            assert held.damaged <= 1
            held.acknowledge(OLD, 2)
            held.close()
            assert not path.exists()
            for aside in directory.glob("*.damaged"):
                aside.unlink()

    def test_any_byte_changed_costs_no_frame_but_its_own(self, directory):
        directory.mkdir()
        path = directory / f"{OLD:020d}-000001.flowlog"
        frames = [frame(number, run=OLD) for number in (1, 2, 3)]
        content = flow_log(header(run=OLD), *frames)
        first = len(content) - sum(map(len, frames))
        for at in range(first, len(content)):
            path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
            held = spool(directory)
            hit = 1 + sum(at >= first + len(b"".join(frames[:n])) for n in (1, 2))
            left = [n for n in (1, 2, 3) if n != hit]
            assert list(held.recover()) == [(OLD, n) for n in left]
            assert [held.read(OLD, n) for n in left] == [frames[n - 1] for n in left]
            held._close_writing()
            held._lock.close()

    def test_damage_in_the_middle_costs_the_damaged_frame(self, directory):
        directory.mkdir()
        path = directory / f"{OLD:020d}-000001.flowlog"
        content = bytearray(flow_log(header(run=OLD), *(frame(n, run=OLD) for n in (1, 2, 3))))
        content[-len(frame(3, run=OLD)) - 5] ^= 1
        path.write_bytes(content)
        held = spool(directory)
        assert list(held.recover()) == [(OLD, 1), (OLD, 3)]
        assert held.damaged == 1
        assert held.damage == [f"the spool's {path} is damaged in 1 places; the 2 frames that are whole will be sent"]
        held.close()

    def test_a_frame_of_a_newer_version_does_not_hide_the_others(self, directory):
        directory.mkdir()
        newer = bytearray(frame(2, run=OLD))
        newer[9] = 2
        newer[4:8] = zlib.crc32(bytes(newer[8:])).to_bytes(4, "big")
        path = directory / f"{OLD:020d}-000001.flowlog"
        path.write_bytes(flow_log(header(run=OLD), frame(1, run=OLD), bytes(newer), frame(3, run=OLD)))
        held = spool(directory)
        assert list(held.recover()) == [(OLD, 1), (OLD, 3)]
        assert held.damaged == 1
        held.close()

    @pytest.mark.parametrize(
        "content",
        [FILE_HEADER[:8] + b"\0\x02\0\0" + header(), b"not a flow log", flow_log(b"\xff" * 50)],
        ids=["newer version", "something else", "only damage"],
    )
    def test_a_segment_that_nothing_can_be_read_from_is_moved_aside_and_said(self, directory, content):
        directory.mkdir()
        path = directory / f"{OLD:020d}-000001.flowlog"
        path.write_bytes(content)
        held = spool(directory)
        assert list(held.recover()) == []
        assert held.damaged == 1
        assert held.damage == [f"the spool's {path} holds no frame that can be sent; it is kept as {path.name}.damaged"]
        aside = path.with_name(path.name + ".damaged")
        # Somebody else may have to write here after us; what we moved is no reason not to.
        assert set(held.own_paths()) == {directory, directory / "lock", aside}
        held.close()
        assert aside.read_bytes() == content
        assert segments(directory) == []

    def test_a_segment_that_cannot_be_read_at_all_is_moved_aside_and_said(self, directory):
        path = directory / f"{OLD:020d}-000001.flowlog"
        path.mkdir(parents=True)
        held = spool(directory)
        assert list(held.recover()) == []
        assert held.damage == [f"the spool's {path} cannot be read (Is a directory); it is kept as {path.name}.damaged"]
        held.close()

    @pytest.mark.parametrize("name", ["today.flowlog", "1-1.flowlog", "notes.txt", f"{OLD:020d}-000001.flowlog.bak"])
    def test_other_files_in_the_directory_are_not_the_spools(self, directory, name):
        directory.mkdir()
        (directory / name).write_bytes(flow_log(header(run=OLD), frame(1, run=OLD)))
        held = spool(directory)
        assert list(held.recover()) == []
        held.close()
        assert (directory / name).exists()

    def test_segments_come_in_the_order_of_their_numbers(self, directory):
        directory.mkdir()
        for sequence, number in enumerate((2, 999_999, 1_000_000, 10_000_000), 1):
            (directory / f"{OLD:020d}-{number:06d}.flowlog").write_bytes(
                flow_log(header(run=OLD), frame(sequence, run=OLD))
            )
        held = spool(directory)
        assert list(held.recover()) == [(OLD, 1), (OLD, 2), (OLD, 3), (OLD, 4)]
        held.close()

    def test_frames_of_another_run_and_frames_again_are_not_sent(self, directory):
        directory.mkdir()
        path = directory / f"{OLD:020d}-000001.flowlog"
        frames = [frame(n, run=OLD) for n in (1, 2, 1, 3)]
        path.write_bytes(flow_log(header(run=OLD), *frames[:2], frame(9, run=5), header(run=5), *frames[2:]))
        path.with_name(f"{OLD:020d}-000002.flowlog").write_bytes(flow_log(header(run=OLD), frames[1]))
        held = spool(directory)
        assert list(held.recover()) == [(OLD, 1), (OLD, 2), (OLD, 3)]
        assert held.damaged == 4
        held.close()

    def test_half_a_spool_of_small_frames_is_known_in_little_memory(self, directory):
        directory.mkdir()
        for number in range(8):
            frames = [
                frame(n, run=OLD, kind="alarm", rows=[[1]]) for n in range(number * 4000 + 1, number * 4000 + 4001)
            ]
            (directory / f"{OLD:020d}-{number:06d}.flowlog").write_bytes(flow_log(header(run=OLD), *frames))
        tracemalloc.start()
        held = spool(directory, max_bytes=64 * MIB)
        assert sum(1 for _ in held.recover()) == 32_000
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used / 32_000 < 4  # bytes a frame
        assert held.read(OLD, 31_999) == frame(31_999, run=OLD, kind="alarm", rows=[[1]])
        held.close()


class TestProblems:
    def test_a_second_user_is_refused_in_one_line(self, directory):
        held = spool(directory)
        with pytest.raises(UserError, match="in use by another sensor; give each sensor a spool of its own") as caught:
            spool(directory)
        assert "\n" not in str(caught.value)
        held.close()
        spool(directory).close()

    def test_a_file_in_the_directorys_place_is_one_line(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(UserError, match=r"cannot use the spool .*/file: File exists; give a directory"):
            spool(tmp_path / "file")
        with pytest.raises(UserError, match=r"Not a directory; give a directory"):
            spool(tmp_path / "file" / "below")

    def test_a_directory_that_cannot_be_written_is_one_line(self, read_only):
        with pytest.raises(UserError, match=r"^cannot use the spool .*; give a directory that this user may write$"):
            spool(read_only / "spool")
        with pytest.raises(UserError, match=r"^cannot use the spool .*; give a directory that this user may write$"):
            spool(read_only)

    def test_a_full_disk_is_one_line_and_leaves_whole_frames(self, small_disk):
        held = spool(small_disk / "spool", max_bytes=MIB * 8, segment_bytes=MIB)
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(64 << 10))
        rows = [flow()] * 9
        with pytest.raises(SpoolFullError, match=r"^cannot write to the spool .*: No space left on device; make room"):
            exhaust(held.append(sequence, frame(sequence, rows)) for sequence in count(1))
        assert held.frames_dropped == 1
        written = last_of(held)
        assert written > 10
        ballast.unlink()
        # The frame after the one that did not fit stands directly behind those before it.
        held.append(written + 1, frame(written + 1))
        assert held.read(RUN, written + 1) == frame(written + 1)
        held.close()
        after = spool(small_disk / "spool", RUN + 1)
        assert list(after.recover()) == [(RUN, sequence) for sequence in range(1, written + 2)]
        assert after.damaged == 0
        assert after.read(RUN, written) == frame(written, rows)
        after.close()

    def test_a_full_disk_leaves_no_segment_without_a_header(self, small_disk):
        directory = small_disk / "spool"
        held = spool(directory, segment_bytes=1)
        held.append(1, frame(1))
        ballast = small_disk / "ballast"
        fill(ballast)
        for _ in range(2):
            with pytest.raises(SpoolFullError, match="No space left on device"):
                held.append(2, frame(2))
        assert held.frames_dropped == 2
        assert len(segments(directory)) == 1
        assert held.read(RUN, 1) == frame(1)
        ballast.unlink()
        held.append(2, frame(2))
        held.close()
        after = spool(directory, RUN + 1)
        assert list(after.recover()) == [(RUN, 1), (RUN, 2)]
        after.close()

    def test_a_segment_that_cannot_be_deleted_is_one_line_and_tried_again(self, directory):
        leave(directory, 1)
        held = spool(directory)
        assert list(held.recover()) == [(OLD, 1)]
        (path,) = directory.glob("*.flowlog")
        path.unlink()
        path.mkdir()
        held.acknowledge(OLD, 1)
        (line,) = held.news()
        assert line.startswith(f"cannot delete {path}: ")
        assert line.endswith("; put it right, or the spool outgrows its bound")
        path.rmdir()
        path.touch()
        tended(held, 10)
        assert held.news() == [f"the spool {directory} can be cleared again"]
        assert segments(directory) == []
        held.close()


@pytest.fixture
def small_disk():
    with disk() as made:
        yield made.path


@pytest.fixture
def read_only(tmp_path):
    """A directory that nothing can be written to; root may write to all but a read-only mount."""
    if os.geteuid() == 0:
        with disk() as made:
            made.read_only()
            yield made.path
    else:
        path = tmp_path / "disk"
        path.mkdir(mode=0o500)
        yield path


@settings(max_examples=25)
@given(
    steps=st.lists(
        st.tuples(st.just("append"), st.integers(1, 12)) | st.tuples(st.just("ack"), st.integers(0, 30)), min_size=1
    ),
    segment_bytes=st.sampled_from([1, 3000, 9000]),
    max_bytes=st.sampled_from([6000, 20_000, MIB]),
)
def test_every_frame_is_held_answered_or_counted_as_dropped(steps, segment_bytes, max_bytes):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        held = spool(directory, max_bytes=max_bytes, segment_bytes=segment_bytes)
        last = answered = gone = lost = 0
        for step, number in steps:
            if step == "append":
                for _ in range(number):
                    last += 1
                    for _, sequence in held.append(last, frame(last, [flow()] * (last % 3 + 1))):
                        lost += sequence - max(gone, answered)
                        gone = sequence
            else:
                answered = max(answered, min(number, last))
                held.acknowledge(RUN, number)
            waiting = range(max(answered, gone) + 1, last + 1)
            assert held.frames_dropped == lost
            assert all(decode_frame(held.read(RUN, sequence) or b"").sequence == sequence for sequence in waiting)
        held.close()
        after = spool(directory, RUN + 1)
        left = list(after.recover())
        # A restart forgets answers inside a segment: the correlator knows those frames and says so.
        assert {sequence for _, sequence in left} >= set(waiting)
        assert left == sorted(left)
        after.close()


class TestRefusedFrames:
    def test_one_frame_is_given_up_and_none_before_it(self, directory):
        held = spool(directory, segment_bytes=1)
        for sequence in (1, 2, 3):
            held.append(sequence, frame(sequence))
        held.drop(RUN, 2)
        held.drop(RUN, 9)
        assert [held.read(RUN, sequence) for sequence in (1, 2, 3)] == [frame(1), None, frame(3)]
        assert held.frames_dropped == 0
        held.acknowledge(RUN, 1)
        assert segments(directory) == [f"{RUN:020d}-000003.flowlog"]
        held.close()
