"""Notices as syslog messages that a strict reader of RFC 5424 takes apart."""

from __future__ import annotations

import re
from typing import Any

import pytest
from corr_flows import T0
from hypothesis import given
from hypothesis import strategies as st
from notices import notice

from correlator.detect.alarm import Severity
from correlator.notify.formats.syslog import FACILITIES, MAX_BYTES, framed, syslog_message

# The grammar of RFC 5424, section 6, as far as messages with one structured data element go.
_MESSAGE = re.compile(
    rb"<(?P<priority>0|[1-9][0-9]{0,2})>1 "
    rb"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z) "
    rb"(?P<host>[\x21-\x7e]{1,255}) (?P<app>[\x21-\x7e]{1,48}) (?P<process>[\x21-\x7e]{1,128}) "
    rb"(?P<id>[\x21-\x7e]{1,32}) "
    rb'\[(?P<sd>[\x21-\x7e]{1,32})(?P<params>( [a-z_]{1,32}="([^"\\\]]|\\["\\\]])*")*)\] (?P<text>.*)',
    re.DOTALL,
)
_PARAM = re.compile(r' ([a-z_]+)="((?:[^"\\\]]|\\["\\\]])*)"')


def read(message: bytes) -> dict[str, Any]:
    match = _MESSAGE.fullmatch(message)
    assert match, message
    params = {name: re.sub(r"\\(.)", r"\1", value) for name, value in _PARAM.findall(match["params"].decode())}
    return {name: value.decode() for name, value in match.groupdict().items() if value is not None} | {"params": params}


def test_a_message_has_all_fields_of_the_rfc() -> None:
    told = notice(sensor="tap")
    found = read(syslog_message(told, FACILITIES["local0"], "bastion", 42))
    assert (found["priority"], found["host"], found["app"], found["process"], found["id"]) == (
        "132", "bastion", "tunnelwatch", "42", "channel-threshold",
    )  # fmt: skip
    assert found["time"] == "2023-11-14T22:13:20Z"
    assert found["text"] == told.alarm["message"]
    assert found["params"] == {
        "id": told.alarm["id"],
        "kind": "channel-threshold",
        "severity": "medium",
        "client": "10.0.0.1",
        "server": "192.0.2.1:443",
        "sensor": "tap",
        "seen_count": "1",
        "event": "new",
    }


@pytest.mark.parametrize(("severity", "code"), [("critical", 2), ("high", 3), ("medium", 4), ("low", 5)])
def test_severities_are_those_of_syslog(severity: str, code: int) -> None:
    told = notice(severity=Severity(severity))
    assert read(syslog_message(told, FACILITIES["daemon"], "b", 1))["priority"] == str(3 * 8 + code)


def test_a_fraction_of_a_second_has_six_digits_at_the_most() -> None:
    assert read(syslog_message(notice(time_ns=T0 + 1_234_567), 16, "b", 1))["time"] == "2023-11-14T22:13:20.001234Z"


@given(st.text(), st.text(), st.text(max_size=300))
def test_whatever_strangers_chose_it_is_one_message_within_its_bound(host: str, text: str, sender: str) -> None:
    told = notice()
    told.alarm.update(host=host, message=text)
    message = syslog_message(told, 16, sender, 1)
    assert len(message) <= MAX_BYTES
    assert not any(byte < 32 or byte == 127 for byte in message)
    found = read(message)
    assert found["params"]["id"] == told.alarm["id"]


def test_text_that_is_not_ascii_begins_with_the_mark_of_utf8() -> None:
    told = notice()
    told.alarm.update(message="münchen")
    assert read(syslog_message(told, 16, "b", 1))["text"] == "\ufeffmünchen"


def test_a_long_message_is_cut_between_characters() -> None:
    told = notice()
    told.alarm.update(message="ü" * 3000)
    message = syslog_message(told, 16, "b", 1)
    assert MAX_BYTES - 1 <= len(message) <= MAX_BYTES
    assert message.decode().endswith("ü...")


def test_on_a_stream_the_length_comes_first() -> None:
    assert framed(b"<1>1 x") == b"6 <1>1 x"
