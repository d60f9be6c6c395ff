"""White, red and black lists on disk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from common.errors import UserError
from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, Limits, ListKind, Lists
from correlator.store.database import Store, immediate
from correlator.store.meta import LISTS_CHANGED, note, noted

MAX_ENTRIES: Final = 500_000
_KEY: Final = "kind, client, server, first_port, last_port, host"
_WHAT: Final = "everything, over_percent, bytes, packets, tcp_uptime_s, severity, expires_ns, comment, source"
# As the unique index has it, which otherwise would not be used.
_FIND: Final = """
SELECT entry_id FROM lists WHERE kind = ? AND coalesce(client, '') = coalesce(?, '')
AND coalesce(server, '') = coalesce(?, '') AND coalesce(first_port, -1) = coalesce(?, -1)
AND coalesce(last_port, -1) = coalesce(?, -1) AND coalesce(host, '') = coalesce(?, '')
"""


class Changed(NamedTuple):
    """What came of entries that were to be added."""

    added: int
    replaced: int
    removed: int = 0


def entries(conn: sqlite3.Connection) -> Iterator[Entry]:
    """Yield every entry, those that are over too, in the order in which they were added."""
    for row in conn.execute(f"SELECT entry_id, {_KEY}, {_WHAT} FROM lists ORDER BY entry_id"):  # noqa: S608 - constant names
        yield _entry(row)


def add_entries(
    conn: sqlite3.Connection, new: Sequence[Entry], now_ns: int, *, instead_of: str | None = None
) -> Changed:
    """Add entries in one transaction; one that has the same fields is replaced, and keeps its number.

    ``instead_of`` is a source whose other entries are removed. UserError when there would be too many.
    """
    with immediate(conn):
        kept: set[int] = set()
        added = 0
        for entry in new:
            key, what = _key(entry), _what(entry)
            found = conn.execute(_FIND, key).fetchone()
            if found is None:
                values = (*key, *what, now_ns)
                places = ", ".join("?" * len(values))
                query = f"INSERT INTO lists ({_KEY}, {_WHAT}, added_ns) VALUES ({places})"  # noqa: S608 - constant names
                kept.add(int(conn.execute(query, values).lastrowid or 0))
                added += 1
            else:
                updates = ", ".join(f"{name} = ?" for name in _WHAT.split(", "))
                conn.execute(f"UPDATE lists SET {updates} WHERE entry_id = ?", (*what, found[0]))  # noqa: S608 - as above
                kept.add(int(found[0]))
        removed = 0
        if instead_of is not None:
            olds = {number for (number,) in conn.execute("SELECT entry_id FROM lists WHERE source = ?", (instead_of,))}
            removed = _remove(conn, olds - kept)
        _refuse_too_many(conn)
        _changed(conn)
    return Changed(added, len(kept) - added, removed)


def remove_entries(conn: sqlite3.Connection, numbers: Iterable[int]) -> int:
    """Remove entries by their numbers; return how many there were."""
    with immediate(conn):
        removed = _remove(conn, numbers)
        _changed(conn)
    return removed


class ListBook:
    """The lists as they are now: read again when somebody changed them."""

    def __init__(self, store: Store) -> None:
        self._conn = store.conn
        self._version = -1
        self._lists = Lists()

    def now(self) -> Lists:
        """Return the lists, read again if they were changed."""
        version = noted(self._conn, LISTS_CHANGED)
        if version != self._version:
            self._lists = Lists(entries(self._conn))
            self._version = version
        return self._lists


def _remove(conn: sqlite3.Connection, numbers: Iterable[int]) -> int:
    before = conn.total_changes
    conn.executemany("DELETE FROM lists WHERE entry_id = ?", [(number,) for number in numbers])
    return conn.total_changes - before


def _refuse_too_many(conn: sqlite3.Connection) -> None:
    (number,) = conn.execute("SELECT count(*) FROM lists").fetchone()
    if number > MAX_ENTRIES:
        raise UserError(f"the lists would have {number} entries, and {MAX_ENTRIES} is the most: name networks instead")


def _changed(conn: sqlite3.Connection) -> None:
    note(conn, LISTS_CHANGED, noted(conn, LISTS_CHANGED) + 1)


def _key(entry: Entry) -> tuple[Any, ...]:
    return (entry.kind.value, entry.client, entry.server, *(entry.ports or (None, None)), entry.host)


def _what(entry: Entry) -> tuple[Any, ...]:
    severity = None if entry.severity is None else entry.severity.value
    plain = (entry.over_percent, *entry.limits, severity, entry.expires_ns, entry.comment, entry.source)
    return (int(entry.everything), *plain)


def _entry(row: tuple[Any, ...]) -> Entry:
    number, kind, client, server, first, last, host, everything, over, *rest = row
    octets, packets, tcp_uptime_s, severity, expires_ns, comment, source = rest
    return Entry(
        ListKind(kind),
        client,
        server,
        None if first is None else (first, last),
        host,
        bool(everything),
        over,
        Limits(octets, packets, tcp_uptime_s),
        None if severity is None else Severity(severity),
        expires_ns,
        comment,
        source,
        number,
    )
