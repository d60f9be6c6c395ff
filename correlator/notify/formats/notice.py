"""What is delivered: an alarm that is new or more severe now, with one of its flows."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from common.records import FlowRecord
from common.safetext import printable
from correlator.detect.alarm import Severity

NEW: Final = "new"
RISEN: Final = "risen"


class Notice(NamedTuple):
    """An alarm that is told."""

    alarm: dict[str, Any]
    """As ``alarms --json`` has it."""
    event: str
    """``new``, or ``risen`` for an alarm that is more severe than before."""
    time_ns: int
    flow: FlowRecord | None = None
    """One of its flows, as far as it is stored."""

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return Severity(self.alarm["severity"])


def json_line(value: Any) -> bytes:
    """Return a value as JSON on one line: all that is not ASCII is escaped, so that no reader splits the line."""
    return json.dumps(value, separators=(",", ":")).replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def notice_line(notice: Notice) -> bytes:
    """Return a notice as a line of ndjson: the alarm, and whether it is new or risen."""
    return json_line({**notice.alarm, "event": notice.event})


def chat_line(notice: Notice) -> bytes:
    """Return a notice as ``notice_line`` does, with ``text``, which the webhooks of chat programs show."""
    return json_line({**notice.alarm, "event": notice.event, "text": summary(notice)})


def summary(notice: Notice) -> str:
    """Return a notice as one line for a person."""
    alarm = notice.alarm
    return printable(f"{alarm['severity']} alarm ({notice.event}, {alarm['kind']}) {alarm['message']} [{alarm['id']}]")
