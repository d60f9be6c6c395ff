"""When sensors spoke last, and since when without a pause; the clock is the caller's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from common.timespan import NS_PER_S

# A sensor with nothing to send says so every 10 s; three times that is a pause.
_PAUSE_NS: Final = 30 * NS_PER_S
# A link that stood for this long has brought whatever its sensor had held back for want of it.
_STEADY_NS: Final = 60 * NS_PER_S


class Contacts:
    """The sensors that spoke lately: bounded by those that say hello, and emptied of those that fell silent."""

    def __init__(self) -> None:
        self._first_ns: dict[str, int] = {}
        self._last_ns: dict[str, int] = {}
        self._untold: dict[str, int] = {}

    def heard(self, sensors: Iterable[str], now_ns: int) -> None:
        """Take that sensors spoke now."""
        for sensor in sensors:
            if now_ns - self._last_ns.get(sensor, now_ns) > _PAUSE_NS:
                del self._first_ns[sensor]
            self._first_ns.setdefault(sensor, now_ns)
            self._last_ns[sensor] = self._untold[sensor] = now_ns

    def steady(self, sensors: Iterable[str], now_ns: int) -> set[str]:
        """Return those of the sensors that have spoken for a minute without a pause."""
        return {sensor for sensor in sensors if now_ns - self._first_ns.get(sensor, now_ns) >= _STEADY_NS}

    def untold(self) -> dict[str, int]:
        """Return when each sensor spoke last that spoke since ``told``."""
        return dict(self._untold)

    def told(self, now_ns: int) -> None:
        """Take that ``untold`` was stored; forget who is silent."""
        self._untold.clear()
        for sensor in [sensor for sensor, last_ns in self._last_ns.items() if now_ns - last_ns > _PAUSE_NS]:
            del self._last_ns[sensor], self._first_ns[sensor]

    def restart(self) -> None:
        """Take that nobody listened for a while, or that the clock was set: nothing is steady any more."""
        self._first_ns.clear()
        self._last_ns.clear()
