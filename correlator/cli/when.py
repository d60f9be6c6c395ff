"""Times in words that people use, as nanoseconds: ``2h``, ``yesterday``, ``monday 14:00``, ISO 8601.

A small grammar of our own, and strict: what may mean two things is refused. The libraries that read times in words
guess instead (python-dateutil takes "10" for a day of this month, and dateparser "10/11" for October in one setting
and November in another), and the range of a question about an incident is no place for a guess.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple

from common.timespan import NS_PER_S, iso_time, parse_time

EXAMPLES: Final = "2h, 30m, 7d, yesterday, monday, 14:00, 2026-11-21, 2026-11-21T14:30:00Z or seconds since 1970"
_DAY_NS: Final = 86_400 * NS_PER_S
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_UNIT: Final = (
    r"s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|d(?:ays?)?|w(?:eeks?)?"  # "mo" for months is none of them
)
_AMOUNT: Final = re.compile(rf"([0-9]{{1,9}}) ?({_UNIT})(?![a-z])")
_DURATION: Final = re.compile(rf"-?((?:{_AMOUNT.pattern} ?)+)(?:ago)?")
_CLOCK: Final = re.compile(r"(?:(?P<day>[a-z]+),? (?:at )?)?(?P<clock>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)(?P<zone>.*)")
_SHORT_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,7}")
_SPACED_ZONE: Final = re.compile(r"(.*[0-9]) ?(utc|z|[+-][0-9]{2}:?[0-9]{2})")


class Span(NamedTuple):
    """A stretch of time, its end left out."""

    since_ns: int
    until_ns: int


def moment(text: str, now_ns: int) -> int:
    """Return the nanoseconds of a time, counted from ``now_ns`` where it is relative; ValueError in one line.

    A weekday or a time of day is the most recent one that is not in the future; UTC unless the text has an offset.
    """
    wanted = _plain(text)
    if wanted == "now":
        return now_ns
    for read in (_ago, _day, _clock):
        found = read(wanted, now_ns)
        if found is not None:
            return _in_range(found, text)
    if _SHORT_NUMBER.fullmatch(wanted) and wanted != "0":
        raise ValueError(f"not a time: {text!r:.80} has no unit; write {wanted}h, {wanted}d, or {EXAMPLES}")
    try:
        return parse_time(_SPACED_ZONE.sub(_joined_zone, wanted).upper())
    except ValueError as error:
        if "between" in str(error):
            raise
        raise ValueError(f"not a time: {text!r:.80}; write {EXAMPLES}") from None


def span(text: str, now_ns: int, period_ns: int) -> Span:
    """Return the day that a text names, or the period that holds the time it names; ValueError in one line."""
    wanted = _plain(text)
    start, length_ns = _day(wanted, now_ns), _DAY_NS
    if start is None:
        try:
            start = _start_of(date.fromisoformat(wanted.upper()))
        except ValueError:
            at = moment(text, now_ns)
            start, length_ns = at - at % period_ns, period_ns
    return Span(_in_range(start, text), _in_range(start + length_ns, text))


def checked_range(since_ns: int | None, until_ns: int | None) -> None:
    """Refuse a range that ends before it begins: ValueError in one line."""
    if since_ns is not None and until_ns is not None and until_ns < since_ns:
        raise ValueError(f"the range ends at {iso_time(until_ns)}, before it begins at {iso_time(since_ns)}")


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _joined_zone(match: re.Match[str]) -> str:
    return match[1] + ("z" if match[2] in ("utc", "z") else match[2])


def _in_range(time_ns: int, text: str) -> int:
    if abs(time_ns) >= 1 << 63:
        raise ValueError(f"a time between 1678 and 2262 is wanted, not {text!r:.80}")
    return time_ns


def _ago(text: str, now_ns: int) -> int | None:
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    amounts = [(unit[0], int(count)) for count, unit in _AMOUNT.findall(match[1])]
    units = [unit for unit, _ in amounts]
    if sorted(set(units), key="wdhms".index) != units:
        raise ValueError(f"not a length of time: {text!r:.80}; write the units once each, largest first, as in 1h30m")
    return now_ns - sum(count * _UNITS[unit] for unit, count in amounts) * NS_PER_S


def _day(text: str, now_ns: int) -> int | None:
    found = _date_of(text, _moment_of(now_ns).date())
    return None if found is None else _start_of(found)


def _clock(text: str, now_ns: int) -> int | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    try:
        clock = match["clock"] if match["clock"][2] == ":" else "0" + match["clock"]
        at = time.fromisoformat(clock + match["zone"].strip().upper().replace("UTC", "Z"))
    except ValueError:
        raise ValueError(f"not a time of day: {text!r:.80}; write 14:00, 14:00:30 or 14:00+01:00") from None
    zone = at.tzinfo or UTC
    now = _moment_of(now_ns).astimezone(zone)
    day = _date_of(match["day"] or "today", now.date())
    if day is None:
        raise ValueError(f"not a day: {match['day']!r:.80}; write today, yesterday, a weekday or 2026-11-21")
    found = datetime.combine(day, at.replace(tzinfo=zone))
    if found > now and match["day"] != "today":
        found -= timedelta(days=7 if match["day"] else 1)
    return _ns_of(found)


def _date_of(word: str, today: date) -> date | None:
    if word in ("today", "yesterday"):
        return today - timedelta(days=word == "yesterday")
    names = [name for name in _WEEKDAYS if word in (name, name[:3])]
    return today - timedelta(days=(today.weekday() - _WEEKDAYS.index(names[0])) % 7) if names else None


def _start_of(day: date) -> int:
    return (day - _EPOCH.date()).days * _DAY_NS


def _moment_of(time_ns: int) -> datetime:
    return _EPOCH + timedelta(seconds=time_ns // NS_PER_S)


def _ns_of(found: datetime) -> int:
    since = found - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S
