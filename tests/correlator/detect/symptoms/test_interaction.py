"""Typing, echoes, trickles and symmetric conversations, and the machines that are none of them."""

from __future__ import annotations

from typing import Any

import pytest
from corr_flows import flow

from common.records import FlowRecord
from correlator.detect.spoken import spoken_in
from correlator.detect.symptom import Sight
from correlator.detect.symptoms.interaction import InteractionLimits, of_flow

LIMITS = InteractionLimits()

# A shell through a proxy's CONNECT, as it was recorded.
SHELL: dict[str, Any] = {
    "app_out": "http", "app_in": "http", "server_port": 3128, "length_s": 157.8,
    "facts": {"http_connect": "a.example:443", "inside_out": "ssh", "inside_in": "ssh"},
    "data_packets_out": 358, "data_packets_in": 458, "echoes": 302, "exchanges": 352,
    "payload_sizes_out": (0, 350, 3, 1, 2, 0, 1, 1), "gaps_out": (1, 29, 258, 33, 15, 19, 2, 0),
    "exchange_gaps": 351, "exchange_gap_mean_s": 0.4, "exchange_gap_m2_s2": 351 * 0.8**2,
}  # fmt: skip
TELNET: dict[str, Any] = {
    "app_out": "printable", "app_in": "printable", "server_port": 80, "length_s": 95,
    "data_packets_out": 279, "data_packets_in": 314,
    "keystroke_packets": 262, "keystroke_pairs": 245, "keystroke_typed_pairs": 240,
}  # fmt: skip
# The upward half of httptunnel.
TRICKLE: dict[str, Any] = {
    "app_out": "http", "app_in": None, "server_port": 3128, "length_s": 126.5, "payload_bytes_in": 0,
    "data_packets_out": 876, "data_packets_in": 0, "exchanges": 0,
    "payload_sizes_out": (591, 276, 4, 1, 2, 0, 1, 1), "keystroke_packets": 591, "keystroke_pairs": 307,
    "keystroke_typed_pairs": 6,
}  # fmt: skip


def answers(record: FlowRecord, limits: InteractionLimits) -> list[Sight]:
    return list(of_flow(record, spoken_in(record), limits))


def found(known: dict[str, Any], **changes: Any) -> set[str]:
    return {sight.symptom for sight in answers(flow(**{**known, **changes}), LIMITS)}


def test_a_shell_is_told_by_its_echoes() -> None:
    assert found(SHELL) == {"keystroke-echoes", "small-and-frequent"}


@pytest.mark.parametrize(
    "changes",
    [
        {"echoes": 19},
        {"echoes": 178},
        {"gaps_out": (200, 100, 20, 5, 0, 0, 0, 0)},
        {"gaps_out": (0, 0, 0, 0, 0, 300, 58, 0)},
        {"exchange_gap_m2_s2": 351 * 0.1**2},
        {"exchange_gap_mean_s": None},
        {"length_s": 9},
    ],
)
def test_a_machines_short_messages_are_no_echoes(changes: dict[str, Any]) -> None:
    assert "keystroke-echoes" not in found(SHELL, **changes)


@pytest.mark.parametrize(
    ("app", "port", "told"),
    [("ssh", 22, False), ("ssh", 443, True), ("ssh", 2222, False), ("tls", 443, True), ("random", 3389, False),
     ("irc", 6667, False), ("ftp", 21, False), ("ftp", 80, True)],
)  # fmt: skip
def test_typing_belongs_to_some_protocols_where_they_are_at_home(app: str, port: int, *, told: bool) -> None:
    changes = {"app_out": app, "app_in": app, "server_port": port, "facts": None}
    assert ("keystroke-echoes" in found(SHELL, **changes)) == told


def test_single_characters_at_a_typists_pace_are_keystrokes() -> None:
    assert found(TELNET) == {"keystrokes"}


@pytest.mark.parametrize(
    "changes",
    [
        {"keystroke_typed_pairs": 48},
        {"keystroke_pairs": 118, "keystroke_typed_pairs": 118},
        {"keystroke_packets": 9},
        {"keystroke_pairs": None},
        {"server_port": 23},
    ],
)
def test_fewer_or_faster_characters_are_none(changes: dict[str, Any]) -> None:
    assert not found(TELNET, **changes)


def test_a_request_that_goes_on_in_tiny_pieces_is_a_trickle() -> None:
    assert found(TRICKLE) == {"http-trickle", "small-and-frequent"}


@pytest.mark.parametrize(
    "changes",
    [
        {"payload_sizes_out": (0, 0, 0, 1, 0, 5, 0, 870)},
        {"exchanges": 300},
        {"facts": {"http_upgrade": "websocket", "inside_out": "printable"}},
        {"facts": {"http_connect": "a.example:443"}},
        {"app_out": "tls"},
        {"length_s": 59},
        {"data_packets_out": 49},
    ],
)
def test_uploads_conversations_and_tunnels_are_no_trickle(changes: dict[str, Any]) -> None:
    assert "http-trickle" not in found(TRICKLE, **changes)


def test_small_packets_a_minute_apart_are_not_frequent() -> None:
    assert "small-and-frequent" in found(SHELL, length_s=1700)
    assert "small-and-frequent" not in found(SHELL, length_s=1800)


@pytest.mark.parametrize(
    ("out", "in_", "length_s", "told"),
    [
        (60_000, 60_000, 600, True),
        (60_000, 88_000, 600, True),
        (60_000, 91_000, 600, False),
        (49_999, 50_000, 600, False),
        (60_000, 60_000, 599, False),
    ],
)
def test_a_conversation_is_symmetric_when_it_is_long_and_both_sides_say_as_much(
    out: int, in_: int, length_s: int, *, told: bool
) -> None:
    volume = {"payload_bytes_out": out, "payload_bytes_in": in_, "length_s": length_s}
    assert ("symmetric" in found({"data_packets_out": 100, "data_packets_in": 100, **volume})) == told


def test_only_tcp_is_looked_at() -> None:
    assert not found(SHELL, protocol=17)
