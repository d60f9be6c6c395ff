"""Looks after the store while ``serve`` runs: removes what is to go in quiet moments, and watches its log."""

from __future__ import annotations

from typing import Final

from common.timespan import NS_PER_S, iso_time
from correlator.config import RetentionSettings
from correlator.store.database import LOG_BYTES, Store, log_bytes
from correlator.store.meta import FLOWS_REMOVED, noted
from correlator.store.retention import Pruner, Removed

_LOOK_NS: Final = 10 * NS_PER_S
_BUSY_NS: Final = NS_PER_S // 10
_REPEAT_NS: Final = 3600 * NS_PER_S
# What a reader that takes its time may keep without a word.
_LONG_LOG: Final = 8 * LOG_BYTES


class Upkeep:
    """What the service asks at every turn; the clocks are handed in. A turn removes a little, or nothing."""

    def __init__(self, store: Store, settings: RetentionSettings, monotonic_ns: int) -> None:
        self._store = store
        self._max_bytes = settings.max_bytes
        self._pruner = Pruner(store, settings)
        self._next_ns = monotonic_ns
        self._removed = Removed()
        self._said_ns: dict[str, int] = {}

    def turn(self, now_ns: int, monotonic_ns: int, *, quiet: bool) -> list[str]:
        """Do what is due; return lines for people. While sensors send, it removes ten times a second at the most.

        StoreUnavailableError leaves everything for the next time.
        """
        if monotonic_ns < self._next_ns:
            return []
        self._next_ns = monotonic_ns + _LOOK_NS
        removed = self._pruner.step(now_ns)
        if removed != Removed():
            self._next_ns = monotonic_ns + (0 if quiet else _BUSY_NS)
            self._removed = Removed(*map(sum, zip(self._removed, removed, strict=True)))
            return []
        return self._news(monotonic_ns)

    def _news(self, monotonic_ns: int) -> list[str]:
        """Return what is to be said now; nothing of a kind is said twice in an hour."""
        found: dict[str, str] = {}
        if self._removed != Removed():
            until = iso_time(noted(self._store.conn, FLOWS_REMOVED) * NS_PER_S)
            found["removed"] = (
                f"retention: {self._removed.records} flow records from before {until} "
                f"and {self._removed.periods} periods removed"
            )
        if self._pruner.is_over():
            found["size"] = (
                f"{self._store.path} is over max_bytes = {self._max_bytes} with no more flows to remove: "
                "lower hours_days in [retention], or raise max_bytes"
            )
        waiting = log_bytes(self._store.path)
        if waiting > _LONG_LOG:
            found["log"] = (
                f"{self._store.path}-wal has grown to {waiting} bytes, for another program reads an old moment of the "
                "database: end it (a view in a pager, an export) and the log shrinks by itself"
            )
        due = [name for name in found if monotonic_ns - self._said_ns.get(name, -_REPEAT_NS) >= _REPEAT_NS]
        self._said_ns |= dict.fromkeys(due, monotonic_ns)
        if "removed" in due:
            self._removed = Removed()
        return [found[name] for name in due]
