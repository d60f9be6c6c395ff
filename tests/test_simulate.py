"""The simulator's records are those that the sensor would hand out, the same every time, and each has its label."""

from __future__ import annotations

import importlib
import json
import math
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from packets import ACK, FIN, PSH, SYN, all_records, records, tcp_frame

from common.flowlog import check_file_header, decode_payload, scan_frames
from common.records import FlowRecord, check_flow
from sensor.flow._table import FlowTable

MS = 1_000_000
S = 1_000 * MS
T0 = 1_700_000_000 * S
CLIENT, SERVER = ("10.1.1.9", 40_000), ("10.1.2.2", 443)
# What a conversation's record is made of; packets without payload are counted in a simpler way than they occur.
FIELDS = (
    "part", "start_ns", "payload_bytes_out", "payload_bytes_in", "data_packets_out", "data_packets_in",
    "payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in", "keystroke_packets", "keystroke_pairs",
    "keystroke_typed_pairs", "echoes", "exchanges", "exchange_gaps", "exchange_gap_min_ns", "exchange_gap_max_ns",
    "splt",
)  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def bench(repo_root: Path) -> Path:
    """The place of the simulator's modules, which can be imported from there."""
    path = repo_root / "bench"
    if str(path) not in sys.path:
        sys.path.append(str(path))
    return path


def sensed(bursts: list[tuple[int, int, int]], rtt_ns: int, segment: int, apart_ns: int) -> list[FlowRecord]:
    """The sensor's records of the bursts' packets: all but the last have full segments, one soon after the other."""
    table = FlowTable(active_timeout_ns=60 * S)
    found: list[FlowRecord] = []
    sequence = [101, 501]

    def feed(at_ns: int, side: int, flags: int, data: bytes = b"") -> None:
        ends = (CLIENT, SERVER) if side == 0 else (SERVER, CLIENT)
        frame = tcp_frame(*ends, flags, data, seq=sequence[side], ack=sequence[1 - side])
        table.feed_frame(1, at_ns, frame)
        sequence[side] += len(data)
        found.extend(records(table))

    table.feed_frame(1, T0, tcp_frame(CLIENT, SERVER, SYN, seq=100))
    table.feed_frame(1, T0 + rtt_ns // 2, tcp_frame(SERVER, CLIENT, SYN | ACK, seq=500, ack=101))
    feed(T0 + rtt_ns, 0, ACK)
    now_ns = T0 + rtt_ns
    for side, size, gap_ns in bursts:
        now_ns += gap_ns
        for at in range(0, size, segment):
            now_ns += apart_ns if at else 0
            feed(now_ns, side, PSH | ACK, bytes(min(size - at, segment)))
    feed(now_ns + rtt_ns, 0, FIN | ACK)
    feed(now_ns + rtt_ns, 1, FIN | ACK)
    return found + all_records(table)


bursts = st.lists(
    st.tuples(
        st.sampled_from((0, 1)),
        st.one_of(st.integers(1, 300), st.integers(300, 6_000)),
        st.one_of(st.integers(5 * MS, 3 * S), st.integers(3 * S, 90 * S)).map(lambda ns: ns // 1000 * 1000),
    ),
    min_size=1,
    max_size=30,
)


def is_cut_inside(bursts: list[tuple[int, int, int]], rtt_ns: int, segment: int, apart_ns: int) -> bool:
    """Whether a minute is over in the middle of a burst, which the simulator tells in one part."""
    now_ns, began_ns = rtt_ns, 0
    for _, size, gap_ns in bursts:
        now_ns += gap_ns
        began_ns = now_ns if now_ns - began_ns > 60 * S else began_ns
        now_ns += (size - 1) // segment * apart_ns
        if now_ns - began_ns > 60 * S:
            return True
    return False


@given(bursts)
@example([(0, 1, 59_980_001_000)])
@example([(0, 1, 60_980_001_000)])
@example([(0, 1, S), (0, 1, 58_980_001_000)])
@example([(0, 1, 5 * MS)] * 7 + [(1, 1, 5 * MS), (0, 2 * 1448 + 1, 44_540_000), (1, 1, 5 * MS)])
def test_a_conversations_records_are_those_that_the_sensor_hands_out_of_its_packets(
    bursts: list[tuple[int, int, int]],
) -> None:
    talk = importlib.import_module("sim_talk")
    rtt_ns = 20 * MS
    assume(not is_cut_inside(bursts, rtt_ns, talk.SEGMENT, talk._SEGMENT_NS))
    made = talk.Talk(T0, rtt_ns).play(bursts)
    ends = talk.Ends(bytes((10, 1, 1, 9)), CLIENT[1], bytes((10, 1, 2, 2)), SERVER[1])
    simulated = made.records(7, ends, talk.NOTHING_KNOWN)
    real = sensed(bursts, rtt_ns, talk.SEGMENT, talk._SEGMENT_NS)
    for one in simulated:
        check_flow(one)
    assert [_shown(one) for one in simulated] == [_shown(other) for other in real]
    for one, other in zip(simulated, real, strict=True):
        assert (one.end_reason, one.conn_state) == (other.end_reason, other.conn_state)
        assert math.isclose(one.exchange_gap_mean_s or 0, other.exchange_gap_mean_s or 0, abs_tol=1e-6)
        assert math.isclose(one.exchange_gap_m2_s2 or 0, other.exchange_gap_m2_s2 or 0, abs_tol=1e-3)
        assert one.end_ns == other.end_ns
        assert one.max_idle_ns is not None
        assert other.max_idle_ns is not None
        assert abs(one.max_idle_ns - other.max_idle_ns) <= rtt_ns


def _shown(record: FlowRecord) -> dict[str, Any]:
    found = {name: getattr(record, name) for name in FIELDS}
    if found["splt"]:
        found["splt"] = [tuple(one) for one in found["splt"]]
    return found | {
        name: list(found[name]) for name in FIELDS if isinstance(found[name], tuple | list) and name != "splt"
    }


@given(st.binary(min_size=1, max_size=400))
def test_first_bytes_look_as_random_as_the_sensor_says(data: bytes) -> None:
    content = importlib.import_module("sim_content")
    table = FlowTable(active_timeout_ns=0)
    table.feed_frame(1, T0, tcp_frame(CLIENT, SERVER, SYN, seq=100))
    table.feed_frame(1, T0 + MS, tcp_frame(CLIENT, SERVER, ACK, data, seq=101))
    (record,) = all_records(table)
    ones, printable, run, entropy = content.looks_of(data)
    assert record.first_printable_run == run
    assert record.first_popcount == pytest.approx(ones, abs=1e-4)
    assert record.first_printable == pytest.approx(printable, abs=1e-4)
    assert record.first_entropy == pytest.approx(entropy, abs=1e-4)


def simulated(bench: Path, target: Path, *arguments: str) -> list[Path]:
    command = [sys.executable, str(bench / "simulate.py"), str(target), *arguments]
    subprocess.run(command, check=True, timeout=100)
    return sorted(target.glob("*.flowlog"))


def flows_of(log: Path) -> list[FlowRecord]:
    data = memoryview(log.read_bytes())
    batches = [decode_payload(frame.payload) for frame in scan_frames(data, check_file_header(data))]  # type: ignore[union-attr]
    assert batches[0].kind == "header"
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
    return [FlowRecord._make(row[:]) for batch in batches[1:] for row in batch.records]


@pytest.fixture(scope="module")
def office(bench: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three users for three days, with a tunnel of every kind."""
    path = tmp_path_factory.mktemp("office")
    simulated(bench, path, "--users", "3", "--days", "3", "--tunnels", "1")
    return path


def test_every_record_is_a_good_one_and_parts_follow_each_other(office: Path) -> None:
    parts: dict[int, list[FlowRecord]] = {}
    for log in sorted(office.glob("*.flowlog")):
        found = flows_of(log)
        assert [record.end_ns for record in found] == sorted(record.end_ns for record in found)
        for record in found:
            check_flow(record)
            parts.setdefault(record.flow_id, []).append(record)
    assert sum(len(of) > 1 for of in parts.values()) > 50
    for of in parts.values():
        of.sort(key=lambda record: record.part)
        begun = [record.part for record in of]
        assert begun == list(range(begun[0], begun[0] + len(of)))
        assert all(one.end_ns == other.start_ns for one, other in pairwise(of))
        assert len({(record.client_ip, record.server_ip, record.host, record.flow_start_ns) for record in of}) == 1


def test_every_channel_has_a_label_and_tunnels_have_channels_of_their_own(office: Path) -> None:
    labels = [json.loads(line) for line in (office / "labels.ndjson").read_text().splitlines()]
    known = {(label["client"], label["peer"], label["port"]) for label in labels}
    for log in office.glob("*.flowlog"):
        for record in flows_of(log):
            client, server = (".".join(map(str, ip)) for ip in (record.client_ip, record.server_ip))
            assert (client, record.host or server, record.server_port) in known
    kinds = Counter(label["kind"] for label in labels if not label["benign"])
    tunnels = importlib.import_module("sim_tunnels")
    assert kinds.keys() == {kind.name for kind in tunnels.KINDS}
    hidden = {(label["client"], label["peer"]) for label in labels if not label["benign"]}
    assert not hidden & {(label["client"], label["peer"]) for label in labels if label["benign"]}


def test_the_same_arguments_give_the_same_bytes_and_tunnels_change_nothing_else(
    bench: Path, office: Path, tmp_path: Path
) -> None:
    again = simulated(bench, tmp_path / "again", "--users", "3", "--days", "3", "--tunnels", "1")
    assert [log.read_bytes() for log in again] == [log.read_bytes() for log in sorted(office.glob("*.flowlog"))]
    without = simulated(bench, tmp_path / "without", "--users", "3", "--days", "3")
    labels = [json.loads(line) for line in (office / "labels.ndjson").read_text().splitlines()]
    plain = [json.loads(line) for line in (tmp_path / "without/labels.ndjson").read_text().splitlines()]
    assert [label for label in labels if label["benign"]] == plain
    assert len(without) == 3


def test_a_directory_of_another_simulation_is_refused(bench: Path, office: Path) -> None:
    command = [sys.executable, str(bench / "simulate.py"), str(office), "--users", "4", "--days", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 1
    assert "holds another simulation" in done.stderr


def test_beacons_call_at_their_interval_and_jitter() -> None:
    tunnels = importlib.import_module("sim_tunnels")
    world = importlib.import_module("sim_world").World(1, 5)
    by_name = {tunnel.kind.name: tunnel for tunnel in tunnels.planned(world, 1, 10)}
    for name, every_s, jitter in (("beacon 60 s +-0 %", 60, 0.0), ("beacon 300 s +-50 %", 300, 0.5)):
        tunnel = by_name[name]
        starts = [made.records[0].start_ns / S for day in range(10) for made in tunnels.played(world, tunnel, 0, day)]
        gaps = [other - one for one, other in pairwise(starts)]
        assert len(gaps) >= 20
        assert min(gaps) >= every_s * (1 - jitter) - 1e-3
        assert max(gaps) <= every_s * (1 + jitter) + 1e-3
        assert max(gaps) - min(gaps) >= every_s * jitter


def test_people_come_in_the_morning_and_seldom_at_weekends() -> None:
    module = importlib.import_module("sim_world")
    world = module.World(1, 200)
    days = [[world.day(user, number) for user in world.users] for number in range(40)]
    there = [sum(bool(day.works) for day in of) / 200 for of in days]
    assert all(share < 0.25 for number, share in enumerate(there) if number % 7 > 4 or number in module.HOLIDAYS)
    assert all(share > 0.85 for number, share in enumerate(there) if number % 7 < 5 and number not in module.HOLIDAYS)
    for of in days:
        for day in of:
            assert all(begin < end for begin, end in day.works)
            assert (
                not day.works
                or day.on[0] <= day.works[0][0] < day.works[-1][1] <= day.on[1]
                or day.on[1] - day.on[0] == module.DAY
            )


def test_sites_are_visited_by_rank_as_zipf_says() -> None:
    module = importlib.import_module("sim_world")
    world = module.World(1, 1)
    dice = random.Random(1)
    counts = Counter(world.popular(dice).host for _ in range(200_000))
    first, hundredth = (counts[world.sites[rank].host] for rank in (0, 99))
    assert first / hundredth == pytest.approx(100**module.ZIPF, rel=0.25)
