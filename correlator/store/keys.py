"""The public keys that may speak, each for one sensor."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from common.errors import UserError
from correlator.store.database import Store, StoreUnavailableError, explained


class KeyRow(NamedTuple):
    """A sensor's public key; once revoked it opens nothing."""

    public_key: str
    sensor: str
    added_ns: int
    revoked_ns: int | None


def keys(conn: sqlite3.Connection) -> list[KeyRow]:
    """Return every key, revoked ones too, by sensor and age."""
    query = "SELECT public_key, sensor, added_ns, revoked_ns FROM sensor_keys ORDER BY sensor, added_ns, public_key"
    return [KeyRow._make(row) for row in conn.execute(query)]


def add_key(conn: sqlite3.Connection, sensor: str, public_key: str, now_ns: int) -> bool:
    """Let a key speak for a sensor; return False when it did already; UserError when it is another sensor's."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        known = conn.execute(
            "SELECT sensor, revoked_ns FROM sensor_keys WHERE public_key = ?", (public_key,)
        ).fetchone()
        if known is not None and known[1] is None:
            if known[0] != sensor:
                raise UserError(f"this key is that of {known[0]!r}: revoke it first, or make a new pair for {sensor!r}")
            return False
        conn.execute(
            "INSERT OR REPLACE INTO sensor_keys (public_key, sensor, added_ns) VALUES (?, ?, ?)",
            (public_key, sensor, now_ns),
        )
        return True
    finally:
        conn.execute("COMMIT")


def revoke_keys(conn: sqlite3.Connection, which: str, now_ns: int) -> list[KeyRow]:
    """Revoke the key, or all keys of the sensor, of this name; return those that could speak until now."""
    conn.execute("BEGIN IMMEDIATE")
    found = [row for row in keys(conn) if which in (row.public_key, row.sensor) and row.revoked_ns is None]
    conn.executemany(
        "UPDATE sensor_keys SET revoked_ns = ? WHERE public_key = ?", [(now_ns, row.public_key) for row in found]
    )
    conn.execute("COMMIT")
    return found


class KeyRing:
    """The keys as they are now: read again when another program wrote to the file."""

    def __init__(self, store: Store) -> None:
        self._conn = store.conn
        self._path = store.path
        self._version = -1
        self._sensors: dict[str, str] = {}
        self._revoked: frozenset[str] = frozenset()

    def refresh(self) -> None:
        """Read the keys again if they may have changed; UserError when the database cannot be read."""
        try:
            (version,) = self._conn.execute("PRAGMA data_version").fetchone()
            if version == self._version:
                return
            found = keys(self._conn)
        except sqlite3.DatabaseError as error:
            explanation = explained(self._path, error)
            if isinstance(explanation, StoreUnavailableError):
                return  # nothing is stored meanwhile, and so nothing is acknowledged to anybody
            raise explanation from error
        self._version = version
        self._sensors = {row.public_key: row.sensor for row in found if row.revoked_ns is None}
        self._revoked = frozenset(row.public_key for row in found if row.revoked_ns is not None)

    def sensor(self, public_key: str) -> str | None:
        """Return the sensor that a key speaks for, None for one that may not speak."""
        return self._sensors.get(public_key)

    def was_revoked(self, public_key: str) -> bool:
        """Tell whether a key could speak once."""
        return public_key in self._revoked

    def __len__(self) -> int:
        return len(self._sensors)
