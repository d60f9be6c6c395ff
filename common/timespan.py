"""Times and durations: integer nanoseconds since the epoch inside, ISO 8601 in UTC outside."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

NS_PER_S = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"(.+[T ][0-9]{2}:?[0-9]{2}:?[0-9]{2})[.,]([0-9]{1,9})[0-9]*(.*)")
_SECONDS = re.compile(r"([+-]?)([0-9]{0,12})(?:\.([0-9]*))?")
_MAX_NS = (1 << 63) - 1
_LAST_NS = 253_402_300_799 * NS_PER_S  # the end of year 9999, the last that datetime can print


def iso_time(time_ns: int) -> str:
    """Return ``2003-11-24T14:30:17Z``; the fraction appears only when there is one.

    Years that datetime cannot print come out as the clamped first or last instant it can.
    """
    if not 0 <= time_ns <= _LAST_NS:
        time_ns = min(max(time_ns, 0), _LAST_NS)
    whole, fraction_ns = divmod(time_ns, NS_PER_S)
    if not fraction_ns:
        return f"{_hour(whole // 3600)}{_clock(whole % 3600)}Z"
    return f"{_hour(whole // 3600)}{_clock(whole % 3600)}.{fraction_ns:09}".rstrip("0") + "Z"


# Lists have many times of the same hours, and formatting takes longer than all else.
@lru_cache(maxsize=4096)
def _hour(hours: int) -> str:
    return f"{_EPOCH + timedelta(hours=hours):%Y-%m-%dT%H}"


@lru_cache(maxsize=3600)
def _clock(second: int) -> str:
    return f":{second // 60:02d}:{second % 60:02d}"


def parse_time(text: str) -> int:
    """Return nanoseconds of an ISO 8601 date or time (UTC unless it says otherwise) or of epoch seconds.

    ValueError says what is none, or is none that 64 bits hold.
    """
    time_ns = _parsed(text)
    if not -_MAX_NS <= time_ns <= _MAX_NS:
        raise ValueError(f"a time between 1678 and 2262 is wanted, not {text!r:.80}")
    return time_ns


def _parsed(text: str) -> int:
    stripped, fraction_ns = text.strip(), 0
    # datetime would cut the fraction off after the microsecond.
    if match := _FRACTION.fullmatch(stripped):
        stripped, fraction_ns = match[1] + match[3], int(match[2].ljust(9, "0"))
    try:
        moment = datetime.fromisoformat(stripped)
    except ValueError:
        try:
            return seconds_to_ns(stripped)
        except ValueError:
            raise ValueError(
                f"not a time: {text!r:.80}; write 2026-11-21, 2026-11-21T14:30:00Z or seconds since 1970"
            ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + fraction_ns


def seconds_to_ns(text: str) -> int:
    """Return nanoseconds of decimal seconds in text, exactly (``1705192016.281275`` loses nothing)."""
    match = _SECONDS.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise ValueError(f"not a number of seconds: {text!r:.80}")
    whole_ns = int(match[2] or "0") * NS_PER_S + int((match[3] or "")[:9].ljust(9, "0"))
    return -whole_ns if match[1] == "-" else whole_ns


def seconds(duration_ns: int) -> float | int:
    """Return a duration in seconds, an int when it is whole (so that 64 s prints as 64)."""
    whole, rest = divmod(duration_ns, NS_PER_S)
    return duration_ns / NS_PER_S if rest else whole
