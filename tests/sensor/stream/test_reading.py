"""Captures are read one after the other as one run of events, and what is wrong with one is a line."""

from __future__ import annotations

from pathlib import Path

import pytest
from packets import ACK, CLIENT, SERVER, SYN, T0, S, pcap, tcp_frame
from programs import AS_ROOT, SENSOR, run

from sensor.capture.pcapfile import CaptureFileError
from sensor.stream._streams import Streams
from sensor.stream.events import Began, Data, Ended, Event
from sensor.stream.reading import batches, left_out


def capture(path: Path, *frames: bytes, at_s: int = 0) -> str:
    path.write_bytes(pcap([(T0 + (at_s + n) * S, frame) for n, frame in enumerate(frames)]))
    return str(path)


def syn(port: int) -> bytes:
    return tcp_frame((CLIENT[0], port), SERVER, SYN, seq=100)


def data(port: int, text: bytes, sequence: int = 101) -> bytes:
    return tcp_frame((CLIENT[0], port), SERVER, ACK, text, seq=sequence)


def events(*names: str, expression: str = "") -> list[Event]:
    return [event for batch in batches(names, expression, Streams()) for event in batch]


def data_of(found: list[Event]) -> list[bytes]:
    return [event.data for event in found if isinstance(event, Data)]


def test_a_connection_may_go_on_in_the_next_file(tmp_path: Path) -> None:
    one = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"))
    two = capture(tmp_path / "2.pcap", data(1025, b"cd", 103), at_s=2)
    found = events(one, two)
    assert data_of(found) == [b"ab", b"cd"]
    assert [type(event) for event in found if not isinstance(event, Data)] == [Began, Ended]


def test_the_filter_is_for_packets(tmp_path: Path) -> None:
    name = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"), syn(1026), data(1026, b"cd"))
    assert data_of(events(name, expression="port 1026")) == [b"cd"]


def test_what_cannot_be_read_is_said_after_all_that_can(tmp_path: Path) -> None:
    good = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"))
    (tmp_path / "cut.pcap").write_bytes(Path(good).read_bytes()[:-1])
    names = [str(tmp_path / "none.pcap"), str(tmp_path / "cut.pcap"), good]
    found: list[Event] = []
    taken = batches(names, "", Streams())
    with pytest.raises(CaptureFileError, match=r"cannot read .*none.pcap.*; .*cut.pcap is cut off in a packet"):
        found.extend(event for batch in taken for event in batch)
    assert data_of(found) == [b"ab"]
    assert isinstance(found[-1], Ended)


def test_many_events_come_in_batches(tmp_path: Path) -> None:
    frames = [frame for port in range(1025, 21025) for frame in (data(port, b"x"), data(port, b"y", 103))]
    name = capture(tmp_path / "1.pcap", *frames)
    sizes = [len(batch) for batch in batches([name], "", Streams())]
    assert sum(sizes) == 20000 * 5  # begun, two pieces with a gap between them, ended
    assert max(sizes) < 40_000


def test_what_is_in_no_event_is_told(tmp_path: Path) -> None:
    streams = Streams()
    name = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"), data(1025, b"x", 200 + (1 << 30)))
    assert left_out(streams) == ""
    assert [event for batch in batches([name], "", streams) for event in batch]
    assert left_out(streams) == "not in streams: 1 segments too far ahead"
    for command in (("streams", name, "-o", str(tmp_path / "out"), "-q"), ("grep", "-a", "ab", "-r", name)):
        _, _, stderr = run(SENSOR, *command, *AS_ROOT)
        assert stderr.splitlines()[-1] == "not in streams: 1 segments too far ahead"
