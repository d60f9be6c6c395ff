"""A run of grep over events: what is reported, what is written, and what the bounds cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from capture_events import T0, S, began, conversation
from signatures import pattern

from sensor.grep import Grep, Report, Settings
from sensor.match.patterns import Pattern
from sensor.match.stream import Match
from sensor.output.payloads import KeptPayload, PayloadFiles
from sensor.stream.events import CLIENT, SERVER, Began, Data, Ended, Event, Gap


class Seen:
    """What a run reported."""

    def __init__(self) -> None:
        self.matches: list[tuple[int, int, int, str, bytes]] = []
        self.unmatched: list[tuple[int, int, int]] = []
        self.paths: list[str] = []

    def report(self) -> Report:
        def unmatched(flow: Began, out: int, back: int) -> None:
            self.unmatched.append((flow.flow_id, out, back))

        return Report(self._match, unmatched, self.paths.append)

    def _match(self, flow: Began, direction: int, _: int, match: Match) -> None:
        self.matches.append((flow.flow_id, direction, match.offset, match.pattern.name, match.data))


def run(events: list[Event], *patterns: bytes | Pattern, **options: Any) -> tuple[Grep, Seen]:
    seen = Seen()
    grep = Grep([pattern(one) if isinstance(one, bytes) else one for one in patterns], seen.report(), **options)
    grep.take(events)
    grep.finish()
    return grep, seen


TALK = conversation((CLIENT, b"hello ser"), (SERVER, b"hello client"), (CLIENT, b"ver, secret"), (SERVER, b"secret"))


def test_a_match_in_several_pieces_is_reported_once_with_its_place() -> None:
    grep, seen = run(TALK, b"server")
    assert seen.matches == [(1, CLIENT, 6, "server", b"server")]
    assert grep.selected == 1


@pytest.mark.parametrize(("side", "directions"), [("client", [0]), ("server", [1]), ("any", [0, 1])])
def test_a_side_is_whose_bytes_are_looked_at(side: str, directions: list[int]) -> None:
    _, seen = run(TALK, pattern(b"secret", side))
    assert [direction for _, direction, *_ in seen.matches] == directions


def test_over_udp_both_sides_are_looked_for_and_no_match_reaches_over_payloads() -> None:
    events = conversation((CLIENT, b"one two"), (SERVER, b" three"), (CLIENT, b"two"), protocol=17)
    _, seen = run(events, pattern(b"three", "client"), pattern(b"^two", "server"), pattern(b"twotwo"))
    assert [match[1:3] for match in seen.matches] == [(SERVER, 1), (CLIENT, 7)]


def test_a_rule_of_another_protocol_is_left_out() -> None:
    _, seen = run(TALK, pattern(b"secret", protocol=17))
    assert seen.matches == []


def test_no_match_reaches_over_a_gap_whether_it_is_told_or_only_seen_in_the_offsets() -> None:
    told: list[Event] = [began(), Data(1, 0, 0, T0, b"sec"), Gap(1, 0, 3, T0, 5), Data(1, 0, 8, T0, b"ret secret")]
    seen_only = [told[0], told[1], told[3]]
    for events in (told, seen_only):
        _, seen = run(events, b"secret", b"^ret")
        assert [match[2:4] for match in seen.matches] == [(12, "secret")]


def test_inverted_the_flows_without_a_match_are_told_when_they_end() -> None:
    other = conversation((CLIENT, b"nothing"), flow_id=2)
    grep, seen = run(TALK + other, b"secret", settings=Settings(invert=True))
    assert (seen.matches, seen.unmatched, grep.selected) == ([], [(2, 7, 0)], 1)


def test_the_whole_flow_is_written_in_two_files_named_as_flowgrep_names_them(tmp_path: Path) -> None:
    _, seen = run(TALK, b"secret", files=PayloadFiles(str(tmp_path)))
    names = ["1700000000-10.1.1.9-1025-10.1.2.2-3128-tcp", "1700000000-10.1.2.2-3128-10.1.1.9-1025-tcp"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert (tmp_path / names[0]).read_bytes() == b"hello server, secret"
    assert (tmp_path / names[1]).read_bytes() == b"hello clientsecret"
    assert sorted(seen.paths) == [str(tmp_path / name) for name in names]


def test_of_datagrams_those_that_match_are_written(tmp_path: Path) -> None:
    events = conversation((CLIENT, b"one"), (CLIENT, b"two"), (SERVER, b"one more"), protocol=17)
    run(events, b"one", files=PayloadFiles(str(tmp_path)))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "1700000000-10.1.1.9-1025-10.1.2.2-3128-udp": b"one",
        "1700000002-10.1.2.2-3128-10.1.1.9-1025-udp": b"one more",
    }


def test_inverted_the_flows_without_a_match_are_written(tmp_path: Path) -> None:
    other = conversation((CLIENT, b"nothing"), flow_id=2, port=7)
    run(TALK + other, b"secret", files=PayloadFiles(str(tmp_path)), settings=Settings(invert=True))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"nothing"]


def test_what_did_not_fit_into_memory_is_counted(tmp_path: Path) -> None:
    events = conversation(*[(CLIENT, b"%04d" % number * 100) for number in range(50)], (CLIENT, b"secret"))
    grep, _ = run(events, b"secret", files=PayloadFiles(str(tmp_path)), kept=KeptPayload(flow_bytes=2000))
    (written,) = tmp_path.iterdir()
    data = written.read_bytes()
    assert data.endswith(b"0049secret")
    assert (len(data) + grep.lost_bytes, grep.lost_flows) == (50 * 400 + 6, 1)


def test_the_matchers_of_all_streams_have_one_bound() -> None:
    events: list[Event] = []
    for flow in range(50):
        events += [began(flow), Data(flow, 0, 0, T0, b"begin" + b"x" * 3000)]
    events += [Data(0, 0, 3005, T0 + S, b"end"), Data(49, 0, 3005, T0 + S, b"end"), Ended(49, T0 + S, 3)]
    grep, seen = run(events, b"begin.*end", settings=Settings(matcher_bytes=40_000))
    assert grep.cut > 30
    assert [match[0] for match in seen.matches] == [49]


def test_events_of_flows_that_did_not_begin_are_passed_over() -> None:
    grep, seen = run([Data(9, 0, 0, T0, b"secret"), Gap(9, 0, 6, T0, 1), Ended(9, T0, 3)], b"secret")
    assert (grep.selected, seen.matches) == (0, [])
