"""How long the records of each sensor may last: a channel's uptime is written to every period that it stood in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# 13 months: no part of a flow lasts for longer.
MAX_DURATION_NS: Final = 1 << 55
# In plain text anybody may be any sensor; the one that began to last for long first is forgotten.
_MAX_SENSORS: Final = 4096


class Spread:
    """What each sensor has left: its records last for ``share_ns`` each on average, and once for 13 months more."""

    def __init__(self, share_ns: int) -> None:
        self.share_ns = share_ns
        self._left_ns: dict[str, int] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Give back what was taken inside when an error leaves it."""
        before = dict(self._left_ns)
        try:
            yield
        except BaseException:
            self._left_ns = before
            raise

    def takes_all(self, sensor: str, records: int, together_ns: int) -> bool:
        """Take records that last so long together, or none where one of them may find no room."""
        left_ns = self._left(sensor) - together_ns
        if left_ns < 0:
            return False
        self._keep(sensor, left_ns + records * self.share_ns)
        return True

    def takes(self, sensor: str, duration_ns: int) -> bool:
        """Take one record, or leave it where there is no room."""
        left_ns = self._left(sensor) + self.share_ns - duration_ns
        if left_ns < 0:
            return False
        self._keep(sensor, left_ns)
        return True

    def _left(self, sensor: str) -> int:
        return self._left_ns.get(sensor, MAX_DURATION_NS)

    def _keep(self, sensor: str, left_ns: int) -> None:
        self._left_ns.pop(sensor, None)
        if left_ns < MAX_DURATION_NS:
            self._left_ns[sensor] = left_ns
        if len(self._left_ns) > _MAX_SENSORS:
            del self._left_ns[next(iter(self._left_ns))]
