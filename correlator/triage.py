"""The alarm budget over a store: weak evidence that is rare here is promoted, and of a flood the weakest are low."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log10
from typing import Any, Final

from common.timespan import NS_PER_S
from correlator.detect.alarm import Alarm, Evidence, Severity, alarm_id
from correlator.detect.budget import DAY_S, Budget, Ranked, flooded
from correlator.detect.channel import Channel, Sighting
from correlator.detect.channelday import ChannelDay, kind_of, note
from correlator.detect.judge import ORDINARY_CAP, Judgement
from correlator.detect.settings import DetectSettings
from correlator.store import calibration

PROMOTED: Final = "alarm-budget"
LOWERED: Final = "alarm-flood"
_FAMILY: Final = "budget"
_SETTLE_S: Final = 3600
"""How long after midnight a day is closed."""


class Triage:
    """What the budget says inside one transaction of a store; made anew for the next."""

    def __init__(self, conn: Any, settings: DetectSettings) -> None:
        self._conn = conn
        self._settings = settings.budget
        self._floor = log10(settings.prior / (1 - settings.prior)) + settings.budget.floor_log10_lr
        self._budgets: dict[int, Budget] = {}
        self._promoted: dict[int, set[str]] = {}
        self._days: list[ChannelDay] = []
        self._closed_s = -1

    def close(self, now_ns: int) -> None:
        """Sum up the days that have ended when traffic has come to a time."""
        today_s = _day(now_ns - _SETTLE_S * NS_PER_S)
        if today_s != self._closed_s:
            self.keep()
            calibration.close_days(self._conn, today_s)
            self._closed_s = today_s

    def note(self, channel: Channel, judgement: Judgement, sightings: Mapping[str, Sighting]) -> None:
        """Take a judgement into the site's scores of the day."""
        day = note(channel, judgement, sightings)
        if day is not None:
            self._days.append(day)

    def keep(self) -> None:
        """Write what was noted."""
        calibration.note_days(self._conn, self._days)
        self._days.clear()

    def promoted(self, channel: Channel, judgement: Judgement) -> Evidence | None:
        """Return why a channel whose evidence is weak is worth an alarm here and now, None where it is not."""
        if judgement.log10_odds < self._floor or _is_serious(judgement.severity):
            return None
        day_s = _day(channel.last_ns)
        budget = self._budget(day_s)
        p_value = budget.allows(kind_of(channel.key), judgement.log10_odds, day_s)
        if p_value is None or not self._has_room(channel, day_s, budget.per_day):
            return None
        return Evidence(
            PROMOTED,
            _FAMILY,
            0.0,
            p_value,
            budget.per_day / budget.tests_per_day,
            f"among the site's channels of the latest days {p_value:.2g} were as suspicious; the budget of "
            f"{self._settings.alarms_per_day:g} alarms a day has room for it",
        )

    def flood(self, alarms: list[Alarm]) -> list[Alarm]:
        """Return alarms with the weakest of a day made low where there are too many; those stored likewise."""
        if not self._settings.most_per_day or not any(_is_serious(alarm.severity) for alarm in alarms):
            return alarms
        by_day: dict[int, list[Alarm]] = {}
        for alarm in alarms:
            by_day.setdefault(_day(alarm.period_ns or alarm.time_ns), []).append(alarm)
        return [alarm for day_s, some in by_day.items() for alarm in self._of_day(day_s, some)]

    def _of_day(self, day_s: int, alarms: list[Alarm]) -> list[Alarm]:
        ranked: dict[str, Ranked] = {}
        low: set[str] = set()
        for one, names in calibration.alarms_of_day(self._conn, alarms[0].kind, day_s):
            if LOWERED in names:
                one = one._replace(severity=Severity.MEDIUM)  # noqa: PLW2901 - it is ranked as it was before
                low.add(one.id)
            ranked[one.id] = one
        for alarm in alarms:
            weights = [item.log10_lr for item in alarm.evidence if item.log10_lr is not None]
            decisive = any(weight > ORDINARY_CAP for weight in weights)
            ranked[alarm_id(alarm)] = Ranked(alarm_id(alarm), sum(weights), alarm.severity, decisive)
        most = self._settings.most_per_day
        gone = set(flooded(list(ranked.values()), most))
        why = Evidence(
            LOWERED, _FAMILY, 0.0, len(ranked), most,
            f"{len(ranked)} alarms on this day are more than {most}: it is among the weakest and was made low",
        )  # fmt: skip
        for name in gone - low - {alarm_id(alarm) for alarm in alarms}:
            calibration.lower(self._conn, name, why)
        return [
            alarm._replace(severity=Severity.LOW, evidence=(*alarm.evidence, why))
            if alarm_id(alarm) in gone and _is_serious(alarm.severity)
            else alarm
            for alarm in alarms
        ]

    def _budget(self, day_s: int) -> Budget:
        """Return the budget of a day by the scores of the days before it."""
        if day_s not in self._budgets:
            known = calibration.load(self._conn, calibration.CHANNELS, day_s - self._settings.window_days * DAY_S)
            self._budgets[day_s] = Budget(known, self._settings.alarms_per_day / 2)
        return self._budgets[day_s]

    def _has_room(self, channel: Channel, day_s: int, per_day: float) -> bool:
        """Whether not many more were promoted on this day than the budget says; a channel counts once."""
        if day_s not in self._promoted:
            stored = calibration.alarms_of_day(self._conn, "channel", day_s)
            self._promoted[day_s] = {one.id for one, names in stored if PROMOTED in names}
        known = self._promoted[day_s]
        name = str(channel.key)
        if name not in known and len(known) >= max(1, ceil(2 * per_day)):
            return False
        known.add(name)
        return True


def _day(time_ns: int) -> int:
    return time_ns // NS_PER_S // DAY_S * DAY_S


def _is_serious(severity: Severity | None) -> bool:
    return severity is not None and severity.rank >= Severity.MEDIUM.rank
