"""Captures are read one after the other as one run of events, and what is wrong with one is a line."""

from __future__ import annotations

from pathlib import Path

from packets import ACK, CLIENT, SERVER, SYN, T0, S, pcap, tcp_frame

from sensor.stream._streams import Streams
from sensor.stream.events import Began, Data, Ended, Event
from sensor.stream.reading import batches


def capture(path: Path, *frames: bytes, at_s: int = 0) -> str:
    path.write_bytes(pcap([(T0 + (at_s + n) * S, frame) for n, frame in enumerate(frames)]))
    return str(path)


def syn(port: int) -> bytes:
    return tcp_frame((CLIENT[0], port), SERVER, SYN, seq=100)


def data(port: int, text: bytes, sequence: int = 101) -> bytes:
    return tcp_frame((CLIENT[0], port), SERVER, ACK, text, seq=sequence)


def events(*names: str, expression: str = "", streams: Streams | None = None) -> tuple[list[Event], list[str]]:
    complaints: list[str] = []
    taken = batches(names, expression, streams or Streams(), complaints.append)
    return [event for batch in taken for event in batch], complaints


def test_a_connection_may_go_on_in_the_next_file(tmp_path: Path) -> None:
    one = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"))
    two = capture(tmp_path / "2.pcap", data(1025, b"cd", 103), at_s=2)
    found, complaints = events(one, two)
    assert complaints == []
    assert [event.data for event in found if isinstance(event, Data)] == [b"ab", b"cd"]
    assert [type(event) for event in found if not isinstance(event, Data)] == [Began, Ended]


def test_the_filter_is_for_packets(tmp_path: Path) -> None:
    name = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"), syn(1026), data(1026, b"cd"))
    found, _ = events(name, expression="port 1026")
    assert [event.data for event in found if isinstance(event, Data)] == [b"cd"]


def test_a_file_that_cannot_be_read_is_a_line_and_the_others_are_read(tmp_path: Path) -> None:
    good = capture(tmp_path / "1.pcap", syn(1025), data(1025, b"ab"))
    (tmp_path / "cut.pcap").write_bytes(Path(good).read_bytes()[:-1])
    found, complaints = events(str(tmp_path / "none.pcap"), str(tmp_path / "cut.pcap"), good)
    assert [event.data for event in found if isinstance(event, Data)] == [b"ab"]
    assert ["cannot read" in complaints[0], "is cut off in a packet" in complaints[1]] == [True, True]


def test_many_events_come_in_batches(tmp_path: Path) -> None:
    frames = [frame for port in range(1025, 21025) for frame in (data(port, b"x"), data(port, b"y", 103))]
    name = capture(tmp_path / "1.pcap", *frames)
    complaints: list[str] = []
    sizes = [len(batch) for batch in batches([name], "", Streams(), complaints.append)]
    assert sum(sizes) == 20000 * 5  # begun, two pieces with a gap between them, ended
    assert max(sizes) < 40_000
