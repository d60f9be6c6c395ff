"""Notices as lines of JSON that nothing in them can break."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from notices import notice

from correlator.notify.formats.notice import Notice, chat_line, json_line, notice_line, summary


def test_a_line_is_the_alarm_and_whether_it_is_new() -> None:
    told = notice(host="www.example.com")
    read = json.loads(notice_line(told))
    assert read == {**told.alarm, "event": "new"}
    assert list(read)[:4] == ["id", "time", "first_time", "seen_count"]


def test_webhooks_get_a_text_for_people() -> None:
    told = notice()._replace(event="risen")
    assert json.loads(chat_line(told))["text"] == (
        "medium alarm (risen, channel-threshold) 10.0.0.1 -> 192.0.2.1:443: 1300 bytes, limit 1000 bytes "
        f"[{told.alarm['id']}]"
    )


@given(st.text(), st.text())
def test_whatever_strangers_chose_it_stays_one_line_and_comes_back(host: str, message: str) -> None:
    told: Notice = notice()
    told.alarm.update(host=host, message=message)
    for line in (notice_line(told), chat_line(told)):
        assert line.endswith(b"\n")
        assert all(32 <= byte < 127 for byte in line[:-1])
        read = json.loads(line)
        assert (read["host"], read["message"]) == (host, message)
    assert summary(told).isprintable()


def test_what_is_no_text_is_json_too() -> None:
    assert json_line({"a": None, "b": [1, 2.5]}) == b'{"a":null,"b":[1,2.5]}\n'
