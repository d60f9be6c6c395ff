from __future__ import annotations

import pytest
from hypothesis import given
from rec_records import S, alarm, rows_of

from common.records import SensorAlarm
from sensor.alarms import alarm_line, pair_text


def test_the_line_is_tcpstatflows_with_the_limit_behind_it():
    assert alarm_line(alarm()) == (
        "potential tunnel = 10.1.1.46:1044->10.1.1.1:3128: packets rx=8 tx=9, bytes rx=10000 tx=90100, "
        "seconds=66 (bytes over 100000)"
    )


@pytest.mark.parametrize(
    ("rule", "limit", "text"),
    [
        ("bytes", 123_456_789_012, "(bytes over 123456789012)"),
        ("packets", 1_000_000, "(packets over 1000000)"),
        ("duration", 86_400 * S, "(duration over 86400 s)"),
        ("duration", S // 2, "(duration over 0.5 s)"),
        ("duration", 31_536_000 * S, "(duration over 31536000 s)"),
    ],
)
def test_a_limit_is_written_in_full(rule, limit, text):
    assert alarm_line(alarm(rule=rule, limit=limit)).endswith(text)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "10.1.1.46:1044->10.1.1.1:3128"),
        ({"protocol": 17}, "udp 10.1.1.46:1044->10.1.1.1:3128"),
        ({"protocol": 132}, "132 10.1.1.46:1044->10.1.1.1:3128"),
        ({"client_ip": bytes(15) + b"\1", "server_ip": bytes(16)}, "[::1]:1044->[::]:3128"),
    ],
)
def test_a_pair_names_its_protocol_unless_it_is_tcp(fields, text):
    assert pair_text(alarm(**fields)) == text


@given(raised=rows_of(SensorAlarm))
def test_any_alarm_is_one_printable_line(raised):
    assert alarm_line(raised).isprintable()
