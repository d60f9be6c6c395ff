"""Events into files: what lies in them, what they are called, where one ends and the next begins."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import pytest
from assembled import Talk, assembled, began
from hypothesis import given
from hypothesis import strategies as st
from packets import T0, S

from common.addresses import address_text
from sensor.stream.events import CLIENT, SERVER, Data, Ended, Event, Gap
from sensor.streams.files import OutputFiles
from sensor.streams.names import Template
from sensor.streams.recorder import Limits, Recorded, Recorder

OUT, BACK = "010.001.001.009.01025-010.001.002.002.03128", "010.001.002.002.03128-010.001.001.009.01025"


def record(directory: Path, events: list[Event], template: str | None = None, **options: object) -> list[Recorded]:
    done: list[Recorded] = []
    files = OutputFiles(directory, 10)
    made = Template(template) if template else Template()
    recorder = Recorder(files, made, done.append, **options)  # type: ignore[arg-type]
    recorder.take(events)
    recorder.close()
    files.close()
    return done


def found(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def test_each_direction_gets_its_file(tmp_path: Path) -> None:
    done = record(tmp_path, Talk().out(b"GET ").back(b"200 ", 1).out(b"/", 2).end(3))
    assert found(tmp_path) == {OUT: b"GET /", BACK: b"200 "}
    assert [(one.name, one.direction, one.size, one.first_ns, one.last_ns) for one in done] == [
        (OUT, CLIENT, 5, T0, T0 + 2 * S),
        (BACK, SERVER, 4, T0 + S, T0 + S),
    ]
    assert {one.start_ns for one in done} == {T0}
    assert (tmp_path / BACK).stat().st_mtime_ns == T0


def test_a_direction_that_said_nothing_gets_no_file(tmp_path: Path) -> None:
    record(tmp_path, Talk().out(b"x").back(b"").lost(SERVER, 10).end())
    assert found(tmp_path) == {OUT: b"x"}


def test_a_connection_that_nothing_ended_is_finished_at_the_close(tmp_path: Path) -> None:
    done = record(tmp_path, Talk().out(b"x").events)
    assert found(tmp_path) == {OUT: b"x"}
    assert len(done) == 1


def test_a_small_gap_is_zeros_and_one_with_nothing_behind_it_is_not(tmp_path: Path) -> None:
    talk = Talk().lost(CLIENT, 3).out(b"ab").lost(CLIENT, 4).out(b"cd").lost(CLIENT, 5)
    (done,) = record(tmp_path, talk.end(), digest=True)
    assert found(tmp_path) == {OUT: b"\0\0\0ab\0\0\0\0cd"}
    assert (done.gaps, done.gap_bytes, done.data_bytes, done.size) == (2, 7, 4, 11)
    assert done.md5 == hashlib.md5(b"\0\0\0ab\0\0\0\0cd").hexdigest()


def test_a_large_gap_begins_a_new_file_with_a_counter(tmp_path: Path) -> None:
    talk = Talk().out(b"ab").lost(CLIENT, 4).out(b"cd", 1).lost(CLIENT, 5).out(b"ef", 2)
    done = record(tmp_path, talk.end(), limits=Limits(gap_bytes=4))
    assert found(tmp_path) == {OUT: b"ab\0\0\0\0cd", f"{OUT}c1": b"ef"}
    assert [one.start_ns for one in done] == [T0, T0 + 2 * S]


def test_a_large_gap_at_the_beginning_is_left_out(tmp_path: Path) -> None:
    record(tmp_path, Talk().lost(CLIENT, 5).out(b"ab").end(), limits=Limits(gap_bytes=4))
    assert found(tmp_path) == {OUT: b"ab"}


def test_zeros_do_not_outweigh_what_was_seen(tmp_path: Path) -> None:
    # tcpflow makes gigabytes of a few packets that jump ahead again and again (tcpflow#73).
    talk = Talk()
    for _ in range(100):
        talk.out(b"x").lost(CLIENT, 1000)
    done = record(tmp_path, talk.end(), limits=Limits(gap_bytes=1000))
    assert all(one.size <= 1002 for one in done)
    assert sum(one.data_bytes for one in done) == 100


def test_bytes_beyond_the_limit_are_counted_and_not_written(tmp_path: Path) -> None:
    talk = Talk().out(b"abc").out(b"def").out(b"ghi").back(b"xy")
    done = record(tmp_path, talk.end(), limits=Limits(file_bytes=5))
    assert found(tmp_path) == {OUT: b"abcde", BACK: b"xy"}
    assert [one.cut_bytes for one in done] == [4, 0]


@pytest.mark.parametrize(("gap", "content"), [(1, b"abc\0d"), (2, b"abc"), (3, b"abc"), (1000, b"abc")])
def test_a_gap_at_the_limit_leaves_no_zeros_at_the_end(tmp_path: Path, gap: int, content: bytes) -> None:
    talk = Talk().out(b"abc").lost(CLIENT, gap).out(b"def").out(b"ghi")
    (done,) = record(tmp_path, talk.end(), limits=Limits(file_bytes=5), digest=True)
    assert found(tmp_path) == {OUT: content}
    assert done.size == len(content)
    assert done.md5 == hashlib.md5(content).hexdigest()


def test_the_same_ends_again_and_a_second_run_get_counters(tmp_path: Path) -> None:
    twice = Talk(1).out(b"1").end() + Talk(2).out(b"2").end()
    record(tmp_path, twice)
    record(tmp_path, twice)
    assert found(tmp_path) == {OUT: b"1", f"{OUT}c1": b"2", f"{OUT}c2": b"1", f"{OUT}c3": b"2"}


def test_numbers_count_files_and_sessions_connections(tmp_path: Path) -> None:
    events = Talk(5).out(b"1").back(b"2").end() + Talk(6).back(b"3").end()
    done = record(tmp_path, events, "%N-%S")
    zeros = "0" * 19
    assert [one.name for one in done] == [f"000-{zeros}0", f"001-{zeros}0", f"002-{zeros}1"]


def test_a_vlan_is_in_the_name(tmp_path: Path) -> None:
    record(tmp_path, Talk(vlan=201).out(b"x").end())
    assert [*found(tmp_path)] == [f"{OUT}--201"]


def test_without_files_all_else_is_the_same(tmp_path: Path) -> None:
    done: list[Recorded] = []
    recorder = Recorder(None, Template(), done.append, digest=True)
    events = Talk().out(b"ab").lost(CLIENT, 2).out(b"c").end()
    recorder.take(events)
    assert [one._replace(name=OUT) for one in done] == record(tmp_path, events, digest=True)
    assert done[0].name is None


def test_bytes_may_be_changed_on_the_way(tmp_path: Path) -> None:
    record(tmp_path, Talk().out(b"abc").end(), change=bytes.upper)
    assert found(tmp_path) == {OUT: b"ABC"}


def test_what_is_not_written_is_counted(tmp_path: Path) -> None:
    files = OutputFiles(tmp_path, 10)
    recorder = Recorder(files, Template(), lambda _: None, limits=Limits(flows=2, file_bytes=3, gap_bytes=5))
    recorder.take([began(1, protocol=17), Data(1, CLIENT, 0, T0, b"1234"), Gap(1, CLIENT, 4, T0, 4), Ended(1, T0, 3)])
    recorder.take(Talk(2).out(b"1234").events)
    recorder.take(Talk(3).lost(CLIENT, 6).out(b"12").events)
    recorder.take(Talk(4).out(b"1").lost(CLIENT, 7).out(b"2").events)
    recorder.take([Data(2, CLIENT, 4, T0, b"56")])
    recorder.close()
    files.close()
    assert dict(recorder.counts) == {
        "flows_not_tcp": 1, "connections": 3, "flows_cut_off": 1, "bytes_of_no_flow": 6, "bytes": 7, "files": 4,
        "bytes_beyond_limit": 1, "gaps": 2, "gap_bytes": 13, "gap_bytes_not_written": 13,
    }  # fmt: skip


def test_a_flow_that_begins_twice_is_finished_first(tmp_path: Path) -> None:
    record(tmp_path, Talk(1).out(b"1").events + Talk(1).out(b"2").end())
    assert found(tmp_path) == {OUT: b"1", f"{OUT}c1": b"2"}


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=8), st.integers(0, 6)), max_size=12), st.integers(0, 20))
def test_files_hold_the_stream_with_its_gaps_in_place(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, bytes, int]], limit: int
) -> None:
    talk, wanted = Talk(), [b"", b""]
    missing = [0, 0]
    for server, data, gap in steps:
        (talk.back if server else talk.out)(data)
        if data:
            wanted[server] += bytes(missing[server]) + data
            missing[server] = 0
        if gap:
            talk.lost(int(server), gap)
            missing[server] += gap
    directory = tmp_path_factory.mktemp("streams")
    done = record(directory, talk.end(), limits=Limits(file_bytes=limit), digest=True)
    contents = found(directory)
    for direction, name in ((CLIENT, OUT), (SERVER, BACK)):
        whole = wanted[direction]
        held = contents.get(name, b"")
        if limit:
            # Up to the limit, but no zeros at the end that nothing follows.
            assert whole.startswith(held)
            assert not whole[len(held) : limit].strip(b"\0") or len(held) == limit
        else:
            assert held == whole
    for one in done:
        assert one.name is not None
        assert one.md5 == hashlib.md5(contents[one.name]).hexdigest()
        assert one.size == len(contents[one.name])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["arkime__http-simple-get.pcap", "zeek__ipv6.pcap", "ipfixprobe__http.pcap"])
def test_files_are_what_tcpflow_and_tshark_agree_on(shared_dir: Path, tmp_path: Path, name: str) -> None:
    path = shared_dir / "data/b_benign" / name
    done: list[Recorded] = []
    files = OutputFiles(tmp_path, 3)
    recorder = Recorder(files, Template(), done.append, digest=True)
    for events in assembled(path):
        recorder.take(events)
    recorder.close()
    files.close()
    ours = {
        (address_text(one.ends[0]), one.ends[1], address_text(one.ends[2]), one.ends[3]): (one.size, one.md5)
        for one in done
    }
    with path.with_name(f"{name}.streams-md5.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            key = row["src"], int(row["sport"]), row["dst"], int(row["dport"])
            assert ours[key] == (int(row["bytes"]), row["md5"]), row
