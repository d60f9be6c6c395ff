"""Zeek's letters and states, case by case; tests/system/test_zeek_truth.py compares with Zeek's own logs."""

from __future__ import annotations

import pytest
from packets import ACK, CLIENT, FIN, RST, SERVER, SYN, T0, Conversation, S, all_records, ethernet, ipv4, records, udp

from sensor.flow._table import FlowTable


def told(talk: Conversation) -> tuple[str | None, str | None]:
    (record,) = all_records(talk.table)
    return record.history, record.conn_state


def test_a_whole_connection() -> None:
    talk = Conversation().handshake()
    talk.out(1, ACK, b"hello", seq=101, ack=501).back(1.1, ACK, seq=501, ack=106).back(
        1.2, ACK, b"hi", seq=501, ack=106
    )
    talk.out(1.3, ACK, seq=106, ack=503).out(2, FIN | ACK, seq=106, ack=503).back(2.1, FIN | ACK, seq=503, ack=107)
    assert told(talk) == ("ShADadFf", "SF")


@pytest.mark.parametrize(
    ("segments", "history", "state"),
    [
        ([("out", SYN)], "S", "S0"),
        ([("out", SYN), ("back", RST | ACK)], "Sr", "REJ"),
        ([("out", SYN), ("out", RST)], "SR", "RSTOS0"),
        ([("out", SYN), ("out", ACK), ("out", RST)], "SAR", "OTH"),
        ([("out", SYN), ("out", FIN)], "SF", "SH"),
        ([("back", SYN | ACK)], "^h", "OTH"),
        ([("back", SYN | ACK), ("back", FIN | ACK)], "^hf", "SHR"),
        ([("back", SYN | ACK), ("back", RST)], "^hr", "RSTRH"),
        ([("back", SYN | ACK), ("out", ACK)], "^hA", "S1"),
        ([("back", SYN | ACK), ("out", SYN), ("out", ACK)], "^hSA", "S1"),
        ([("out", SYN), ("back", SYN | ACK)], "Sh", "S1"),
        ([("out", SYN), ("back", SYN)], "Ss", "S1"),
        ([("out", SYN), ("back", ACK), ("back", SYN | ACK), ("out", ACK)], "SahA", "S1"),
        ([("out", SYN), ("back", SYN | ACK), ("out", FIN | ACK)], "ShF", "S2"),
        ([("out", SYN), ("back", SYN | ACK), ("back", FIN | ACK)], "Shf", "S3"),
        ([("out", SYN), ("back", SYN | ACK), ("out", RST)], "ShR", "RSTO"),
        ([("out", SYN), ("back", SYN | ACK), ("back", RST)], "Shr", "RSTR"),
        ([("out", ACK), ("back", ACK)], "Aa", "OTH"),
        ([("out", ACK), ("out", FIN | ACK), ("back", FIN | ACK)], "AFf", "SF"),
        ([("out", SYN | FIN)], "Q", "SH"),
        ([("out", SYN | RST)], "Q", "OTH"),
        ([("out", FIN | RST)], "I", "OTH"),
        # A RST after a FIN, both answered by a FIN, is the normal end.
        ([("out", SYN), ("back", SYN | ACK), ("out", FIN | ACK), ("out", RST), ("back", FIN | ACK)], "ShFRf", "SF"),
        ([("out", SYN), ("back", SYN | ACK), ("out", FIN | ACK), ("back", FIN | ACK), ("out", RST)], "ShFfR", "SF"),
    ],
)
def test_letters_and_state_of_handshakes_and_ends(segments: list[tuple[str, int]], history: str, state: str) -> None:
    talk = Conversation()
    for number, (side, flags) in enumerate(segments):
        # Both sides at the place where they would be: nothing is missing, nothing repeated.
        started = any(earlier & SYN for way, earlier in segments[:number] if way == side)
        sequence = (100 if side == "out" else 500) + started
        getattr(talk, side)(number / 10, flags, seq=sequence, ack=501 if side == "out" else 101)
    assert told(talk) == (history, state)


def test_repeats_are_written_the_1st_10th_and_100th_time() -> None:
    talk = Conversation().handshake()
    talk.out(1, ACK, b"x" * 10, seq=101, ack=501)
    for number in range(100):
        talk.out(1 + number / 100, ACK, b"x" * 10, seq=101, ack=501)
    assert told(talk)[0] == "ShADTTT"


@pytest.mark.parametrize(("window", "letters"), [(0, "W"), (1, "")])
def test_a_zero_window_is_a_w_after_the_letter_of_its_segment(window: int, letters: str) -> None:
    talk = Conversation().handshake()
    talk.out(1, ACK, b"x", seq=101, ack=501, window=window)
    assert told(talk)[0] == "ShAD" + letters


def test_an_acknowledged_hole_is_a_gap_of_its_sender_once() -> None:
    talk = Conversation().handshake()
    talk.back(1, ACK, b"x" * 10, seq=511, ack=101)
    talk.out(1.1, ACK, seq=101, ack=501)
    talk.out(1.2, ACK, seq=101, ack=521).out(1.3, ACK, seq=101, ack=521)
    (record,) = all_records(talk.table)
    assert record.history == "ShAdg"
    assert (record.payload_bytes_in, record.missed_bytes_in) == (10, 10)


def test_bytes_that_were_acknowledged_and_never_seen_are_missed() -> None:
    talk = Conversation().handshake()
    talk.out(1, ACK, seq=101, ack=601).close(2)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_in, record.missed_bytes_in, record.missed_bytes_out) == (0, 100, 0)


def test_bytes_that_come_after_their_acknowledgement_are_not_missed() -> None:
    talk = Conversation().handshake()
    talk.out(1, ACK, seq=101, ack=601).back(1.1, ACK, b"x" * 100, seq=501, ack=101)
    (record,) = all_records(talk.table)
    assert (record.payload_bytes_in, record.missed_bytes_in, record.retransmitted_bytes_in) == (100, 0, 0)


@pytest.mark.parametrize("acknowledgement", [0, 501 - 1, 501 + (1 << 30) + 1])
def test_an_acknowledgement_of_the_impossible_makes_nothing_missed(acknowledgement: int) -> None:
    talk = Conversation().handshake()
    talk.out(1, ACK, seq=101, ack=acknowledgement)
    (record,) = all_records(talk.table)
    assert record.missed_bytes_in == 0


def test_a_clean_close_misses_nothing() -> None:
    talk = Conversation().handshake()
    talk.out(1, FIN | ACK, seq=101, ack=501).back(1.1, ACK, seq=501, ack=102).back(1.2, FIN | ACK, seq=501, ack=102)
    talk.out(1.3, ACK, seq=102, ack=502)
    (record,) = all_records(talk.table)
    assert (record.history, record.missed_bytes_out, record.missed_bytes_in) == ("ShAFaf", 0, 0)


def test_closed_is_when_the_second_side_ended_and_stragglers_come_after_it() -> None:
    talk = Conversation().handshake()
    talk.out(1, FIN | ACK, seq=101, ack=501).back(2, FIN | ACK, seq=501, ack=102).out(3, ACK, seq=102, ack=502)
    (record,) = all_records(talk.table)
    assert (record.closed_ns, record.end_ns) == (T0 + 2 * S, T0 + 3 * S)


def test_a_flow_that_only_one_side_ended_is_not_closed() -> None:
    (record,) = all_records(Conversation().handshake().out(1, FIN | ACK, seq=101).table)
    assert record.closed_ns is None


def test_letters_beyond_the_room_for_them_are_one_x() -> None:
    talk = Conversation().handshake()
    for number in range(100):
        talk.back(1 + number / 100, RST, seq=600 + number)
    history = told(talk)[0]
    assert history is not None
    assert len(history) == 20
    assert history == "ShA" + "r" * 16 + "x"


def test_udp_has_a_letter_a_side_and_icmp_none() -> None:
    table = FlowTable()
    there, back = udp(53000, 53, b"?"), udp(53, 53000, b"!")
    table.feed_frame(1, T0, ethernet(ipv4(CLIENT[0], SERVER[0], 17, there)))
    table.feed_frame(1, T0, ethernet(ipv4(SERVER[0], CLIENT[0], 17, back)))
    table.feed_frame(1, T0, ethernet(ipv4(SERVER[0], CLIENT[0], 17, back)))
    table.feed_frame(1, T0, ethernet(ipv4(CLIENT[0], SERVER[0], 1, bytes([8, 0]) + bytes(30))))
    found = {record.protocol: (record.history, record.conn_state) for record in all_records(table)}
    assert found == {17: ("Dd", "SF"), 1: (None, "OTH")}


def test_an_answer_seen_first_is_turned_round_and_says_so() -> None:
    table = FlowTable()
    table.feed_frame(1, T0, ethernet(ipv4(SERVER[0], CLIENT[0], 17, udp(53, 53000, b"!"))))
    (record,) = all_records(table)
    assert (record.server_port, record.history, record.conn_state) == (53, "^d", "SHR")


def test_a_connection_nobody_answers_ends_after_the_attempt_timeout_and_the_rest_is_another() -> None:
    talk = Conversation(FlowTable(tcp_attempt_timeout_ns=5 * S)).out(0, SYN, seq=100)
    talk.out(4, ACK, b"x", seq=101).out(6, ACK, b"x", seq=102).out(7, FIN | ACK, seq=103)
    assert [(r.history, r.conn_state) for r in records(talk.table) + all_records(talk.table)] == [
        ("SD", "S0"), ("DF", "SH"),
    ]  # fmt: skip
