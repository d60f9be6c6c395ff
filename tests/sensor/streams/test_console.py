"""Events on a terminal: tcpflow's forms, and nothing that commands the terminal."""

from __future__ import annotations

import base64
import json

import pytest
from assembled import Talk, began
from hypothesis import given
from hypothesis import strategies as st
from packets import T0, S

from sensor.stream.events import CLIENT, Data, Ended, Event
from sensor.streams.console import Console, Options, hex_lines, in_base64, json_form, safe, strip, text_form
from sensor.streams.names import Template

OUT, BACK = b"010.001.001.009.01025-010.001.002.002.03128", b"010.001.002.002.03128-010.001.001.009.01025"
V6 = {"client": ("2001:470:1f11:81f::2e3e", 49185), "server": ("2001:470:4867:99::21", 21)}


def shown(events: list[Event], limit: int = 0, **options: bool) -> bytes:
    return b"".join(Console(text_form(Options(**options)), Template(), limit).show(events))


def objects(events: list[Event], payload: object = list) -> list[dict[str, object]]:
    console = Console(json_form(payload), Template())  # type: ignore[arg-type]
    return [json.loads(line) for line in b"".join(console.show(events)).splitlines()]


TALK = Talk().out(b"GET /\r\n").back(b"200\n\x1b[2J\xff\0").end()


def test_each_stretch_has_its_name_before_it() -> None:
    assert shown(TALK) == OUT + b": GET /\r\n\n" + BACK + b": 200\n.[2J..\n"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"header": False}, b"GET /\r\n\n200\n.[2J..\n"),
        ({"header": False, "newline": False}, b"GET /\r\n200\n.[2J.."),
        ({"header": False, "binary": True}, b"GET /\r\n\n200\n\x1b[2J\xff\0\n"),
        (
            {"header": False, "colours": True},
            b"\033[0;34mGET /\r\n\033[0m\n\033[0;31m200\n.[2J..\033[0m\n",
        ),
    ],
)
def test_options_change_it_as_in_tcpflow(options: dict[str, bool], text: bytes) -> None:
    assert shown(TALK, **options) == text


def test_a_dump_is_what_tcpflow_prints() -> None:
    request = b"GET / HTTP/1.1\r\nUser-Agent: curl/7.24.0\r\n"
    assert shown(Talk().out(request).end(), hexadecimal=True) == (
        OUT + b": \n"
        b"0000: 4745 5420 2f20 4854 5450 2f31 2e31 0d0a 5573 6572 2d41 6765 6e74 3a20 6375 726c  "
        b"GET / HTTP/1.1..User-Agent: curl\n"
        b"0020: 2f37 2e32 342e 300d 0a                                                           "
        b"/7.24.0..\n"
        b"\n"
    )


def test_a_dump_of_an_odd_number_of_bytes_keeps_pairs_from_the_left() -> None:
    assert hex_lines(b"abc").startswith(b"0000: 6162 63 ")
    assert hex_lines(b"") == b""
    assert hex_lines(bytes(65)).count(b"\n") == 3


def test_a_carriage_return_stays_where_it_ends_a_line_and_nowhere_else() -> None:
    assert safe(b"a\r\nfake\rb\r") == b"a\r\nfake.b."


def test_stripping_keeps_the_number_of_bytes_and_the_ends_of_lines() -> None:
    assert strip(b"a\r\nb\x1b\xff\t") == b"a\r\nb..."


@given(st.binary(), st.booleans(), st.booleans())
def test_nothing_commands_the_terminal(data: bytes, hexadecimal: bool, header: bool) -> None:
    out = shown(Talk().out(data).end(), hexadecimal=hexadecimal, header=header)
    assert all(32 <= code < 127 or code in b"\r\n" for code in out)
    assert b"\r" not in out.replace(b"\r\n", b"")


def test_no_more_of_a_direction_is_shown_than_the_limit() -> None:
    events = Talk().out(b"abc").out(b"def").back(b"xyz").out(b"ghi").end()
    console = Console(text_form(Options(header=False, newline=False)), Template(), 4)
    assert b"".join(console.show(events)) == b"abcdxyz"
    assert console.counts["bytes_beyond_limit"] == 5


def test_json_has_tcpflows_names_and_where_the_bytes_belong() -> None:
    assert objects(Talk(7).back(b"\0\xff", 1).end()) == [
        {
            "src_host": "10.1.2.2", "src_port": 3128, "dst_host": "10.1.1.9", "dst_port": 1025,
            "time": "2023-11-14T22:13:21Z", "flow_id": 7, "direction": "in", "offset": 0, "payload": [0, 255],
        }
    ]  # fmt: skip


def test_json_has_whole_addresses_of_ipv6() -> None:
    # tcpflow 1.6.1 prints "2001.21." here.
    (row,) = objects(Talk(client=V6["client"], server=V6["server"]).out(b"x").end())
    assert (row["src_host"], row["src_port"]) == V6["client"]
    assert (row["dst_host"], row["dst_port"]) == V6["server"]


def test_json_may_hold_base64_and_tells_of_gaps() -> None:
    first, gap, last = objects(Talk().out(b"ab").lost(CLIENT, 5).out(b"cd").end(), in_base64)
    assert base64.b64decode(str(first["payload"])) == b"ab"
    assert (gap["offset"], gap["missed"], gap["payload"]) == (2, 5, "")
    assert (last["offset"], last["payload"]) == (7, "Y2Q=")


def test_what_is_not_shown_is_counted() -> None:
    console = Console(text_form(Options()), Template())
    events: list[Event] = [began(1, protocol=17), Data(1, CLIENT, 0, T0 + S, b"abc"), Ended(1, T0, 3)]
    assert list(console.show(events + Talk(2).lost(CLIENT, 3).end())) == [b""]
    assert dict(console.counts) == {
        "flows_not_tcp": 1, "bytes_of_no_flow": 3, "connections": 1, "gaps": 1, "gap_bytes": 3
    }  # fmt: skip
