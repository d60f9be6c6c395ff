"""An alarm's story for people: why, what is usual, a timeline, what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from common.safetext import printable
from common.timespan import NS_PER_S, iso_time
from correlator.detect.lists import Entry, subject_text
from correlator.render.table import human_bytes, human_count, human_duration, human_time
from correlator.rows import AlarmRow
from correlator.views.story import Baseline, Bucket, Reason, Window, lasted_s

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII: Final = ".:-=+*#@"
_PRIOR: Final = "prior"


def bars(values: Sequence[int | float], *, ascii_only: bool = False) -> str:
    """Return a character per value, as high as the value is among them; a blank for nothing."""
    marks = _ASCII if ascii_only else _BLOCKS
    most = max(values, default=0)
    return "".join(" " if value <= 0 else marks[min(7, int(8 * value / most))] for value in values)


def head_lines(row: AlarmRow, hiding: Entry | None) -> Iterator[str]:
    """Yield what the alarm is, in a few lines."""
    chance = "" if row.probability is None else f", {_percent(row.probability)} probable"
    yield f"{row.severity} alarm {row.alarm_id}: {row.kind}{chance}"
    yield printable(row.message)
    times = human_time(iso_time(row.time_ns))
    if row.seen_count > 1:
        first = human_time(iso_time(row.first_time_ns))
        times = f"{first} to {times} ({human_duration(lasted_s(row))}, {human_count(row.seen_count)} sights)"
    yield f"{times} UTC" + (f", sensor {printable(row.sensor)}" if row.sensor is not None else "")
    if row.acknowledged_ns is not None:
        yield f"acknowledged {human_time(iso_time(row.acknowledged_ns))} UTC"
    if hiding is not None:
        yield f"hidden by the lists: {hiding.kind} {subject_text(hiding)}"


def reason_lines(reasons: Sequence[Reason]) -> Iterator[str]:
    """Yield a line for every symptom: what it did to the odds, or how far it is over its limit."""
    for reason in reasons:
        yield f"  {_worth(reason):<14}{reason.symptom}: {printable(reason.text)}{_measured(reason)}"


def baseline_line(baseline: Baseline, bucket_ns: int) -> str:
    """Return what is usual for the channel."""
    length = human_duration(bucket_ns // NS_PER_S)
    if not baseline.others:
        return f"in all other stretches of {length} shown here it moved nothing"
    return (
        f"in {baseline.others} other stretches of {length} it moved {human_bytes(baseline.median)} (median) and "
        f"{human_bytes(baseline.most)} at most; in those of the alarm up to {human_bytes(baseline.most_in_alarm)}"
    )


def timeline_lines(buckets: Sequence[Bucket], window: Window, *, ascii_only: bool) -> Iterator[str]:
    """Yield the bytes of the channel along the window as bars, with the alarm's time marked below."""
    start, end = (human_time(iso_time(at))[:16] for at in (window.since_ns, window.until_ns))
    yield f"  |{bars([bucket.bytes for bucket in buckets], ascii_only=ascii_only)}|"
    yield "   " + "".join("^" if bucket.is_alarm else " " for bucket in buckets).rstrip()
    most = human_bytes(max((bucket.bytes for bucket in buckets), default=0))
    length = human_duration(window.bucket_ns // NS_PER_S)
    yield f"  {start} to {end} UTC, {length} a character, the highest {most}; ^ is the alarm"


def command_lines(commands: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield what could be typed next, each below what it is for."""
    for command, purpose in commands:
        yield f"  # {purpose}"
        yield f"  {printable(command)}"


def _worth(reason: Reason) -> str:
    if reason.factor is None:
        if reason.over_percent is None:
            return "without limit"
        times = 1 + reason.over_percent / 100
        return f"{reason.over_percent:+.0f} %" if times < 10 else f"{times:,.3g} times"
    if reason.symptom == _PRIOR:
        return f"1 in {human_count(round(1 / reason.value))}" if 0 < reason.value < 1 else f"{reason.value:g}"
    if reason.factor == 1:
        return "not counted"
    return f"odds x {reason.factor:,.3g}" if reason.factor >= 1 else f"odds / {1 / reason.factor:,.3g}"


def _measured(reason: Reason) -> str:
    """Return value and limit where the text is of a limit, in the units that the symptom's name tells."""
    if reason.factor is not None or not reason.threshold:
        return ""
    write: Callable[[float], str] = _number
    if reason.symptom.endswith("bytes"):
        write = human_bytes
    elif reason.symptom.endswith(("duration", "uptime")):
        write = human_duration
    return f"; measured {write(reason.value)}, limit {write(reason.threshold)}"


def _number(value: float) -> str:
    return f"{value:,.6g}"


def _percent(probability: float) -> str:
    return f"{100 * probability:.3g} %"
