"""Why an alarm was raised, as figures and sentences: its symptoms, what the channel is like otherwise, what to do."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

from common.addresses import parse_endpoint
from common.timespan import NS_PER_S, iso_time
from correlator.detect.alarm import Evidence
from correlator.detect.lists import is_decisive
from correlator.rows import AlarmRow, Selection
from correlator.views.alarms import evidence_of

MAX_BUCKETS: Final = 72
_BEFORE: Final = 48
"""Periods before the alarm that are shown with it."""
_FEW_PERIODS: Final = 7
_SHORT_BUCKETS: Final = tuple(minutes * 60 * NS_PER_S for minutes in (1, 5, 15))
_PRIOR: Final = "prior"


class Reason(NamedTuple):
    """One symptom, with what it was worth."""

    symptom: str
    family: str
    factor: float | None
    """What the odds of a tunnel were multiplied with; None for a plain limit."""
    value: int | float
    threshold: int | float
    over_percent: float | None
    """How far the value is over a plain limit."""
    text: str


class Window(NamedTuple):
    """The time that is shown with an alarm, in buckets."""

    since_ns: int
    until_ns: int
    bucket_ns: int


class Bucket(NamedTuple):
    """What the channel moved in one bucket, both directions, and whether the alarm speaks of it."""

    start_ns: int
    bytes: int
    is_alarm: bool


class Baseline(NamedTuple):
    """What the channel moved in the buckets of the alarm, and in the others in which it moved anything."""

    most_in_alarm: int
    others: int
    median: float
    most: int


def reasons(row: AlarmRow) -> list[Reason]:
    """Return the symptoms of an alarm, the strongest first; the prior is the last."""
    found = [_reason(item) for item in evidence_of(row)]
    return sorted(found, key=lambda reason: (reason.symptom == _PRIOR, -(reason.factor or 0)))


def _reason(item: Evidence) -> Reason:
    factor = None if item.log10_lr is None else float(10 ** max(-300.0, min(300.0, item.log10_lr)))
    over = None
    if factor is None and item.threshold > 0:
        over = round(100 * (item.value / item.threshold - 1), 3)
    return Reason(item.symptom, item.family, factor, item.value, item.threshold, over, item.explanation)


def channel_of(row: AlarmRow) -> Selection | None:
    """Return the selection of an alarm's channel, by name where one is known; None for alarms about no channel."""
    if row.client is None:
        return None
    chosen = Selection(client=row.client, protocol=None)
    if row.host is not None:
        return chosen._replace(host=row.host.lower())
    if row.server is None:
        return chosen
    server, port = parse_endpoint(row.server)
    return chosen._replace(server=server, server_port=port)


def window_of(row: AlarmRow, period_ns: int, recorded_ns: int) -> Window:
    """Return the time around an alarm, as whole buckets of one period or of several; of minutes where little is known.

    Nothing is known of the time before ``recorded_ns``, when the first record began.
    """
    first = max(min(row.first_time_ns, row.time_ns - _BEFORE * period_ns), min(recorded_ns, row.time_ns))
    periods = (row.time_ns - first) // period_ns + 2
    bucket_ns = -(-periods // MAX_BUCKETS) * period_ns
    if periods <= _FEW_PERIODS:
        fitting = (
            ns for ns in _SHORT_BUCKETS if period_ns % ns == 0 and (row.time_ns - first) // ns + 2 <= MAX_BUCKETS
        )
        bucket_ns = next(fitting, bucket_ns)
    until_ns = row.time_ns - row.time_ns % bucket_ns + bucket_ns
    return Window(max(0, first - first % bucket_ns), until_ns, bucket_ns)


def buckets_of(row: AlarmRow, window: Window, moved: Mapping[int, int]) -> list[Bucket]:
    """Return the buckets of a window, those with nothing too."""
    first = row.first_time_ns - row.first_time_ns % window.bucket_ns
    return [
        Bucket(start, moved.get(start, 0), first <= start <= row.time_ns)
        for start in range(window.since_ns, window.until_ns, window.bucket_ns)
    ]


def baseline_of(buckets: Sequence[Bucket]) -> Baseline:
    """Return what is usual for the channel beside what the alarm is about."""
    others = [bucket.bytes for bucket in buckets if bucket.bytes and not bucket.is_alarm]
    most = max((bucket.bytes for bucket in buckets if bucket.is_alarm), default=0)
    return Baseline(most, len(others), median(others) if others else 0, max(others, default=0))


def next_commands(row: AlarmRow, window: Window) -> list[tuple[str, str]]:
    """Return (command, what it is for): what a person would type next."""
    found: list[tuple[str, str]] = []
    who = _options(row)
    if who:
        times = f"--since {iso_time(window.since_ns)} --until {iso_time(window.until_ns)}"
        found.append((f"tunnelwatch flows {who} {times} --protocol all", "every flow of this channel around it"))
        found.append((f"tunnelwatch evolution {who} --by outbound --protocol all", "what it sent along the run"))
    elif row.sensor is not None:
        found.append(("tunnelwatch sensors", "how the sensors are"))
    if row.client is not None:
        found.append((f"tunnelwatch alarms list --client {row.client} --group", "what else this client did"))
    found.append((f"tunnelwatch alarms ack {row.alarm_id}", "you have seen it"))
    if who:
        certain = " --all" if any(map(is_decisive, evidence_of(row))) else ""
        found.append((f"tunnelwatch lists add white {who}{certain}", "it is fine, and shall not be shown again"))
    return found


def story_record(
    row: AlarmRow, buckets: Sequence[Bucket], baseline: Baseline, commands: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Return what the story adds to the alarm's JSON."""
    return {
        "reasons": [reason._asdict() for reason in reasons(row)],
        "baseline": None if not buckets else baseline._asdict(),
        "timeline": [{"period": iso_time(bucket.start_ns), "bytes": bucket.bytes} for bucket in buckets],
        "next": [command for command, _ in commands],
    }


def _options(row: AlarmRow) -> str:
    """Return the options that choose an alarm's channel; a name that a stranger chose is quoted."""
    if row.client is None:
        return ""
    words = ["--client", row.client]
    if row.server is not None:
        words += ["--server", row.server]
    if row.host is not None and row.host.isprintable():
        words += ["--host", row.host]
    return shlex.join(words)


def lasted_s(row: AlarmRow) -> int:
    """Return how long an alarm has been seen."""
    return (row.time_ns - row.first_time_ns) // NS_PER_S
