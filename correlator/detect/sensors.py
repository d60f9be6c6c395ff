"""What is wrong with a sensor itself: its silence, its losses, its spool, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from common.records import SensorStats
from common.timespan import NS_PER_S, iso_time
from correlator.config import SensorLimits
from correlator.detect.alarm import Alarm, Evidence

KIND: Final = "sensor"
OK: Final = "ok"
RETIRED: Final = "retired"
_DAY_NS: Final = 86_400 * NS_PER_S
# A silence that goes on is one more sight of its alarm this often.
_STILL_NS: Final = 3600 * NS_PER_S
# Frames that may wait before statistics that count as fresh: more than that, and they came out of a backlog.
_FRESH_FRAMES: Final = 16
# What a sensor is called while a rule is broken, first what matters most.
_WORDS: Final = {
    "silent": "silent",
    "clock": "clock off",
    "drops": "losing packets",
    "spool-losses": "spool filling",
    "spool": "spool filling",
    "no-traffic": "no traffic",
}


class Account(NamedTuple):
    """A sensor's latest statistics, set against those before."""

    run: int
    arrived_ns: int
    """By the correlator's clock; every other time is the sensor's."""
    time_ns: int
    packets: int
    """Seen since the statistics before, and so are the next two."""
    drops: int
    frames_dropped: int
    traffic_ns: int
    """The latest statistics that had seen packets, or the first of the run."""
    clock_offset_ns: int | None
    """The sensor's clock less the correlator's, when it was last to be known."""
    frames_unacknowledged: int
    spool_bytes: int


def account_of(
    stats: SensorStats, run: int, before: SensorStats | None, known: Account | None, arrived_ns: int, *, steady: bool
) -> Account:
    """Return what statistics say, set against those ``before`` and the account made of them.

    ``steady``: the link has stood for a minute. Then statistics with few frames before them have come without
    delay, for whatever the spool held back has come already; only those tell how far the sensor's clock is off.
    """
    if known is None or before is None or known.run != run or stats.packets < before.packets:
        before = SensorStats(stats.time_ns, stats.version, stats.source)  # a run counts from 0
        known = None if known is None else known._replace(traffic_ns=stats.time_ns)
    packets = stats.packets - before.packets
    fresh = steady and stats.frames_unacknowledged <= _FRESH_FRAMES
    offset_ns = known.clock_offset_ns if known else None
    return Account(
        run=run,
        arrived_ns=arrived_ns,
        time_ns=stats.time_ns,
        packets=packets,
        drops=max(0, _lost(stats) - _lost(before)),
        frames_dropped=max(0, stats.frames_dropped - before.frames_dropped),
        traffic_ns=known.traffic_ns if known and not packets else stats.time_ns,
        clock_offset_ns=stats.time_ns - arrived_ns if fresh else offset_ns,
        frames_unacknowledged=stats.frames_unacknowledged,
        spool_bytes=stats.spool_bytes,
    )


def drop_percent(account: Account) -> float:
    """Return the share of packets lost since the statistics before, in percent."""
    seen = account.packets + account.drops
    return 100 * account.drops / seen if seen else 0.0


def state_of(
    limits: SensorLimits, account: Account | None, contact_ns: int | None, now_ns: int, *, watched: bool
) -> str:
    """Return how a sensor is, in a word or two; one that is not ``watched`` is never silent."""
    broken = {alarm.rule for alarm in account_alarms(limits, "", account)} if account else set()
    if watched and contact_ns is not None and silence_alarm(limits, "", contact_ns, contact_ns, now_ns):
        broken.add("silent")
    return next((word for rule, word in _WORDS.items() if rule in broken), OK)


def silence_alarm(limits: SensorLimits, sensor: str, contact_ns: int, listening_ns: int, now_ns: int) -> Alarm | None:
    """Return the alarm about a sensor that says nothing; the correlator listens since ``listening_ns``.

    The alarm's time is that of its latest sight, one an hour, so that asking more often changes nothing.
    """
    limit_ns = limits.silent_after_s * NS_PER_S
    overdue_ns = now_ns - max(contact_ns, listening_ns) - limit_ns
    if not limit_ns or overdue_ns <= 0:
        return None
    sight_ns = now_ns - overdue_ns % _STILL_NS
    silent_s = (sight_ns - contact_ns) // NS_PER_S
    fact = f"silent for {silent_s} s, since {iso_time(contact_ns)}, limit {limits.silent_after_s} s"
    return _alarm(limits, sensor, _Finding("silent", contact_ns, sight_ns, fact, silent_s, limits.silent_after_s))


def account_alarms(limits: SensorLimits, sensor: str, account: Account) -> Iterator[Alarm]:
    """Yield an alarm for every limit that the latest statistics are over."""
    arrived_ns = account.arrived_ns
    day_ns = arrived_ns - arrived_ns % _DAY_NS
    share = round(drop_percent(account), 3)
    if limits.drop_percent and share > limits.drop_percent:
        seen = account.packets + account.drops
        fact = f"lost {account.drops} of {seen} packets ({share:g} %), limit {limits.drop_percent:g} %"
        yield _alarm(limits, sensor, _Finding("drops", day_ns, arrived_ns, fact, share, limits.drop_percent))
    if account.frames_dropped:
        fact = f"its spool was full and dropped {account.frames_dropped} frames, which are lost"
        yield _alarm(limits, sensor, _Finding("spool-losses", day_ns, arrived_ns, fact, account.frames_dropped, 0))
    if limits.spool_bytes and account.spool_bytes > limits.spool_bytes:
        fact = f"{account.spool_bytes} bytes wait in its spool, limit {limits.spool_bytes} bytes"
        yield _alarm(
            limits, sensor, _Finding("spool", day_ns, arrived_ns, fact, account.spool_bytes, limits.spool_bytes)
        )
    elif limits.spool_frames and account.frames_unacknowledged > limits.spool_frames:
        waiting = account.frames_unacknowledged
        fact = f"{waiting} frames wait in its spool, limit {limits.spool_frames} frames"
        yield _alarm(limits, sensor, _Finding("spool", day_ns, arrived_ns, fact, waiting, limits.spool_frames))
    idle_s = (account.time_ns - account.traffic_ns) // NS_PER_S
    if limits.no_traffic_after_s and idle_s > limits.no_traffic_after_s:
        fact = f"has seen no packet for {idle_s} s, limit {limits.no_traffic_after_s} s"
        start_ns = account.traffic_ns
        yield _alarm(
            limits, sensor, _Finding("no-traffic", start_ns, arrived_ns, fact, idle_s, limits.no_traffic_after_s)
        )
    off_s = (account.clock_offset_ns or 0) / NS_PER_S
    if limits.clock_off_s and abs(off_s) > limits.clock_off_s:
        way = "ahead" if off_s > 0 else "behind"
        fact = f"its clock is {abs(off_s):.0f} s {way}, limit {limits.clock_off_s} s"
        yield _alarm(limits, sensor, _Finding("clock", day_ns, arrived_ns, fact, round(abs(off_s)), limits.clock_off_s))


def frame_alarms(limits: SensorLimits, sensor: str, *, missing: int, refused: int, now_ns: int) -> Iterator[Alarm]:
    """Yield the alarms about frames that never came, and about frames that were refused."""
    day_ns = now_ns - now_ns % _DAY_NS
    if missing:
        fact = f"{missing} of its frames never came, and what they held is lost"
        yield _alarm(limits, sensor, _Finding("frames-missing", day_ns, now_ns, fact, missing, 0))
    if refused:
        fact = f"{refused} of its frames were refused, and what they held is lost"
        yield _alarm(limits, sensor, _Finding("frames-refused", day_ns, now_ns, fact, refused, 0))


def _lost(stats: SensorStats) -> int:
    return stats.kernel_drops + stats.interface_drops


class _Finding(NamedTuple):
    """A rule that is broken."""

    rule: str
    period_ns: int
    """What tells its alarms apart: the day, or the episode's start."""
    time_ns: int
    fact: str
    value: float
    limit: float


def _alarm(limits: SensorLimits, sensor: str, found: _Finding) -> Alarm:
    return Alarm(
        kind=KIND,
        rule=found.rule,
        subject=sensor,
        period_ns=found.period_ns,
        severity=limits.severity,
        time_ns=found.time_ns,
        sensor=sensor,
        client=None,
        server=None,
        host=None,
        probability=None,
        message=f"sensor {sensor}: {found.fact}",
        evidence=(Evidence(f"sensor-{found.rule}", "sensor", None, found.value, found.limit, found.fact),),
        flows=(),
    )
