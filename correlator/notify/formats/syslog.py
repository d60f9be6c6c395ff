"""Notices as syslog messages (RFC 5424) and their framing on a stream (RFC 6587, octet counting)."""

from __future__ import annotations

import re
from typing import Final

from common.safetext import printable
from common.timespan import NS_PER_S, iso_time
from correlator.detect.alarm import Severity
from correlator.notify.formats.notice import Notice

MAX_BYTES: Final = 2048
"""What every receiver should take (RFC 5424, section 6.1); a longer message is cut."""
FACILITIES: Final = {
    "user": 1, "daemon": 3, "auth": 4, "authpriv": 10, "local0": 16, "local1": 17, "local2": 18, "local3": 19,
    "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
_PRIORITIES: Final = {Severity.CRITICAL: 2, Severity.HIGH: 3, Severity.MEDIUM: 4, Severity.LOW: 5}
# The enterprise number for documentation (RFC 5612): the project has none of its own.
_SD_ID: Final = "tunnelwatch@32473"
_PARAMS: Final = ("id", "kind", "severity", "client", "server", "host", "sensor", "probability", "seen_count")
_MAX_VALUE: Final = 255
_NOT_NAME: Final = re.compile(r"[^\x21-\x7e]+")
_ESCAPED: Final = re.compile(r'(["\\\]])')
_BOM: Final = "\ufeff"


def syslog_message(notice: Notice, facility: int, host: str, process: int) -> bytes:
    """Return a notice as one message; ``host`` is who sends it."""
    alarm = notice.alarm
    priority = facility * 8 + _PRIORITIES[notice.severity]
    head = f"<{priority}>1 {_time(notice.time_ns)} {_name(host, 255)} tunnelwatch {process} {_name(alarm['kind'], 32)}"
    known = [(name, alarm[name]) for name in _PARAMS if alarm[name] is not None]
    params = "".join(f' {name}="{_value(value)}"' for name, value in [*known, ("event", notice.event)])
    text = printable(alarm["message"])
    text = text if text.isascii() else f"{_BOM}{text}"
    return _cut(f"{head} [{_SD_ID}{params}] {text}".encode(errors="replace"))


def framed(message: bytes) -> bytes:
    """Return a message as it goes over TCP: its length in front."""
    return b"%d %b" % (len(message), message)


def _time(time_ns: int) -> str:
    """Return a time with at most six digits of a second, as the RFC has it."""
    return iso_time(time_ns - time_ns % 1000) if time_ns % NS_PER_S else iso_time(time_ns)


def _name(text: str, length: int) -> str:
    """Return a header field: printable ASCII without spaces."""
    return _NOT_NAME.sub("-", text)[:length] or "-"


def _value(value: object) -> str:
    """Return a parameter's value: what would end it is escaped, what commands a terminal is shown."""
    return _ESCAPED.sub(r"\\\1", printable(str(value))[:_MAX_VALUE])


def _cut(message: bytes) -> bytes:
    if len(message) <= MAX_BYTES:
        return message
    return message[: MAX_BYTES - 3].decode(errors="ignore").encode() + b"..."
