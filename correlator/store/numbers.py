"""The numbers that stand for clients, services, hosts and sensors in the rows of one store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Final, Generic, TypeVar

from common.addresses import address_text

_REMEMBERED: Final = 200_000

Service = tuple[bytes, int, int]
"""Server address (packed), port, protocol."""
Host = tuple[str, int]
"""Name, protocol."""
Key = TypeVar("Key", bound=Hashable)


class Numbers(Generic[Key]):
    """Finds the numbers of things, and gives new ones; what it remembers is true until ``forget``."""

    def __init__(
        self,
        conn: sqlite3.Connection,
        table: str,
        columns: tuple[str, ...],
        values_of: Callable[[Key], tuple[Any, ...]],
    ) -> None:
        self._conn = conn
        self._values_of = values_of
        tests = " AND ".join(f"{column} = ?" for column in columns)
        # The first column of each of these tables is its number.
        self._find = f"SELECT rowid FROM {table} WHERE {tests}"  # noqa: S608 - constant names
        self._add = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - as above
        self._known: dict[Key, int] = {}

    def forget(self) -> None:
        """Look everything up again: the transaction was rolled back, or another program has written."""
        self._known.clear()

    def of(self, keys: Iterable[Key]) -> list[int]:
        """Return the number of each, inside the caller's transaction."""
        wanted = list(keys)
        found = list(map(self._known.get, wanted))
        if None not in found:
            return found  # type: ignore[return-value] # as the test says
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        for place, (key, number) in enumerate(zip(wanted, found, strict=True)):
            if number is None:
                found[place] = self._known.get(key) or self._number(key)
        return found  # type: ignore[return-value] # now it is

    def _number(self, key: Key) -> int:
        values = self._values_of(key)
        row = self._conn.execute(self._find, values).fetchone()
        number = int(row[0]) if row is not None else self._conn.execute(self._add, values).lastrowid
        assert number is not None
        self._known[key] = number
        return number


def clients(conn: sqlite3.Connection) -> Numbers[bytes]:
    """Return the numbers of clients, by packed address."""
    return Numbers(conn, "clients", ("client",), lambda packed: (address_text(packed),))


def services(conn: sqlite3.Connection) -> Numbers[Service]:
    """Return the numbers of services."""
    return Numbers(
        conn, "services", ("server", "server_port", "protocol"), lambda key: (address_text(key[0]), key[1], key[2])
    )


def hosts(conn: sqlite3.Connection) -> Numbers[Host]:
    """Return the numbers of host names, whichever way they are spelled."""
    return Numbers(conn, "hosts", ("host", "protocol"), lambda key: (key[0].lower(), key[1]))
