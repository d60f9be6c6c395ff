"""Numbers that a store keeps about itself, beside the settings that it was built with."""

from __future__ import annotations

import sqlite3
from typing import Final

FLOWS_REMOVED: Final = "flows_removed_s"
"""Flows that began and ended before this time may have been removed; it is a bound of periods."""
PERIODS_REMOVED: Final = "periods_removed_s"
"""The rows of periods before this time were removed."""
TOTALS_FROM: Final = "totals_from_s"
"""The totals are sums over the periods from this time on."""

LISTS_CHANGED: Final = "lists_changed"
"""How often the lists were changed, so that whoever holds them knows when to read them again."""


def noted(conn: sqlite3.Connection, key: str) -> int:
    """Return a number of meta, 0 where it is not there."""
    found = conn.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return int(found[0]) if found else 0


def note(conn: sqlite3.Connection, key: str, value: int) -> None:
    """Keep a number in meta, inside the caller's transaction."""
    conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))
