"""Watches over the sensors while ``serve`` runs: notes who spoke, and raises alarms about who does not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.timespan import NS_PER_S
from correlator.config import SensorLimits
from correlator.detect.alarm import Alarm
from correlator.detect.sensors import silence_alarm
from correlator.ingest.contacts import Contacts
from correlator.store.alarms import Tell, untold
from correlator.store.writer import Writer

_EVERY_NS: Final = 5 * NS_PER_S
# A turn that took longer heard nobody meanwhile: silence counts from its end, as after a start.
_ABSENT_NS: Final = 30 * NS_PER_S


class Watch:
    """What the service asks at every turn; the clocks are handed in. Writes once in five seconds at the most."""

    def __init__(
        self, writer: Writer, limits: SensorLimits, now_ns: int, monotonic_ns: int, tell: Tell = untold
    ) -> None:
        self._writer = writer
        self._tell = tell
        self._limits = limits
        self._contacts = Contacts()
        self._listening_ns = now_ns
        self._turned = (now_ns, monotonic_ns)
        self._next_ns = monotonic_ns + _EVERY_NS

    def heard(self, sensors: Iterable[str], now_ns: int) -> None:
        """Take that sensors spoke now."""
        self._contacts.heard(sensors, now_ns)

    def steady(self, sensors: Iterable[str], now_ns: int) -> set[str]:
        """Return those of the sensors whose statistics come without delay."""
        return self._contacts.steady(sensors, now_ns)

    def turn(self, now_ns: int, monotonic_ns: int) -> list[Alarm]:
        """Store what is new about the sensors, if it is time to; return alarms that are new or seen again.

        StoreUnavailableError leaves everything for the next time.
        """
        passed_ns = monotonic_ns - self._turned[1]
        set_by_ns = now_ns - self._turned[0] - passed_ns
        self._turned = (now_ns, monotonic_ns)
        if passed_ns > _ABSENT_NS or abs(set_by_ns) > _ABSENT_NS:
            self._listening_ns = now_ns
            self._contacts.restart()
        if monotonic_ns < self._next_ns:
            return []
        self._next_ns = monotonic_ns + _EVERY_NS
        return self._look(now_ns)

    def _look(self, now_ns: int) -> list[Alarm]:
        heard_ns = self._contacts.untold()
        silent = [
            silence_alarm(self._limits, sensor, contact_ns, self._listening_ns, now_ns)
            for sensor, contact_ns in self._writer.watched()
            if sensor not in heard_ns
        ]
        alarms = self._writer.unseen(alarm for alarm in silent if alarm is not None)
        if heard_ns or alarms:
            with self._writer.transaction():
                self._writer.note_contacts(heard_ns)
                news = self._writer.add_alarms(alarms)
            self._tell(news)
        self._contacts.told(now_ns)
        return alarms
