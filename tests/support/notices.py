"""Notices for tests of outputs, and servers that they are delivered to."""

from __future__ import annotations

from typing import Any

from corr_flows import T0

from correlator.detect.alarm import Alarm, Evidence, Severity
from correlator.notify.formats.notice import NEW, Notice
from correlator.store.alarms import News, fresh
from correlator.views.alarms import alarm_record


def alarm(number: int = 1, **changes: Any) -> Alarm:
    """Return an alarm about a channel."""
    plain = Alarm(
        kind="channel-threshold",
        rule="bytes",
        subject=f"6|10.0.0.1|192.0.2.{number}:443",
        period_ns=T0,
        severity=Severity.MEDIUM,
        time_ns=T0 + number,
        sensor=None,
        client="10.0.0.1",
        server=f"192.0.2.{number}:443",
        host=None,
        probability=None,
        message=f"10.0.0.1 -> 192.0.2.{number}:443: 1300 bytes, limit 1000 bytes",
        evidence=(Evidence("channel-bytes", "bytes", None, 1300, 1000, "one channel"),),
        flows=("7",),
    )
    return plain._replace(**changes)


def news(number: int = 1, *, is_new: bool = True, **changes: Any) -> News:
    """Return an alarm as it is stored for the first time."""
    return News(fresh(alarm(number, **changes)), is_new)


def notice(number: int = 1, **changes: Any) -> Notice:
    """Return what an output is told of an alarm."""
    row = news(number, **changes).row
    return Notice(alarm_record(row), NEW, row.time_ns)
