"""Opens the store's file, and turns what SQLite may say about it into one line for a person."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from common.errors import UserError
from correlator.store.steps import SET, STEPS

BUSY_TIMEOUT_S: Final = 5.0
NS_PER_S: Final = 1_000_000_000
PAGE_BYTES: Final = 8192
_LOG_PAGES: Final = 16_384
LOG_BYTES: Final = _LOG_PAGES * PAGE_BYTES
"""What the log grows to while nobody reads an old moment for long."""


class Built(NamedTuple):
    """With which settings a store's roll-ups were computed."""

    period_s: int
    channel_gap_s: int

    @property
    def period_ns(self) -> int:
        """Length of a period."""
        return self.period_s * NS_PER_S

    @property
    def channel_gap_ns(self) -> int:
        """Longest silence inside a session of a channel."""
        return self.channel_gap_s * NS_PER_S


class StoreUnavailableError(UserError):
    """The database cannot be written now; it may be possible later."""


class Store(NamedTuple):
    """An open store."""

    conn: sqlite3.Connection
    built: Built
    path: Path


@contextmanager
def reading(path: Path) -> Iterator[Store]:
    """Open a store read-only as it is now, while others may write it; UserError in one line."""
    _must_exist(path)
    with _explained(path), _connected(path, "ro") as conn:
        conn.execute("BEGIN")  # all that is read is of one moment
        if _refuse_unknown_steps(conn, path):
            raise UserError(f"{path} was made by an older version: run any import or serve on it once")
        yield Store(conn, built(conn), path)


@contextmanager
def writing(path: Path, wanted: Built) -> Iterator[Store]:
    """Open a store for writing, make or upgrade it first; UserError in one line.

    ``wanted`` counts for a new file; an old one keeps what it was built with.
    """
    with _explained(path), _connected(path, "rwc") as conn:
        _prepare(conn, path, wanted)
        yield Store(conn, built(conn), path)


@contextmanager
def changing(path: Path) -> Iterator[Store]:
    """Open a store that is there for writing; UserError in one line."""
    _must_exist(path)
    with writing(path, Built(3600, 300)) as store:  # which an old file does not take
        yield store


@contextmanager
def immediate(conn: sqlite3.Connection) -> Iterator[None]:
    """Commit everything done inside, or nothing; the write lock is taken first."""
    conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        conn.execute("COMMIT")
    finally:
        if conn.in_transaction:
            conn.execute("ROLLBACK")


def file_bytes(path: Path) -> int:
    """Return the size of a store's file and of its log."""
    return _size(path) + log_bytes(path)


def log_bytes(path: Path) -> int:
    """Return the size of the log in which changes wait beside the file."""
    return _size(Path(f"{path}-wal"))


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"file:{quote(os.fspath(path.absolute()))}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)) as conn:
        conn.execute("PRAGMA foreign_keys = ON")
        conn.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new file
        conn.execute("PRAGMA cache_size = -65536")
        yield conn


def _prepare(conn: sqlite3.Connection, path: Path, wanted: Built) -> None:
    _refuse_unknown_steps(conn, path)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = FULL")
    # Random index pages are rewritten by many batches: copying them back less often saves most of that.
    conn.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    # A reader of an old moment keeps the log growing; what it grew by is given back when it is gone.
    conn.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    # One writer at a time prepares; the next one finds nothing left to do.
    conn.execute("BEGIN IMMEDIATE")
    if _refuse_unknown_steps(conn, path):
        _upgrade(conn)
    conn.executemany("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", list(wanted._asdict().items()))
    conn.execute("COMMIT")


def _upgrade(conn: sqlite3.Connection) -> None:
    from sqlite_utils.db import Database  # noqa: PLC0415 - half of the start of a command that needs none of it

    from correlator.store.schema import migrations  # noqa: PLC0415 - as above

    migrations.apply(Database(conn))


def _refuse_unknown_steps(conn: sqlite3.Connection, path: Path) -> bool:
    """Raise when the file is of a newer program, or of another one; tell whether steps are missing."""
    tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return True
    if "_sqlite_migrations" not in tables:
        raise UserError(f"{path} is a database of another program: name another file with --db")
    query = "SELECT name FROM _sqlite_migrations WHERE migration_set = ?"
    applied = {name for (name,) in conn.execute(query, (SET,))}
    if "initial_schema" in applied:
        raise UserError(f"{path} was made by a version before the first release: import its flow logs into a new file")
    if applied - STEPS:
        newest = min(applied - STEPS)
        raise UserError(f"{path} was made by a newer version (it has {newest}): upgrade this program")
    if not applied:
        raise UserError(f"{path} is a database of another program: name another file with --db")
    return applied != STEPS


def _must_exist(path: Path) -> None:
    if not path.exists():
        raise UserError(f"no database at {path}: import or serve into it first, or name another with --db")


def built(conn: sqlite3.Connection) -> Built:
    """Return what a store's roll-ups are computed with."""
    values = dict(conn.execute("SELECT key, value FROM meta"))
    return Built(values["period_s"], values["channel_gap_s"])


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise explained(path, error) from error


def explained(path: Path, error: sqlite3.DatabaseError) -> UserError:
    """Return what SQLite said as an error for a person."""
    text = str(error)
    may_pass = isinstance(error, sqlite3.OperationalError) and any(
        word in text for word in ("locked", "busy", "full", "disk I/O")
    )
    return (StoreUnavailableError if may_pass else UserError)(_explanation(path, error))


def _explanation(path: Path, error: sqlite3.DatabaseError) -> str:
    text = str(error)
    if "locked" in text or "busy" in text:
        return f"{path} is locked by another program: end that program or try again"
    if "not a database" in text or "malformed" in text:
        return f"{path} is not a usable database ({text}): restore a copy, or name another file with --db"
    if "readonly" in text or "unable to open" in text:
        return _unopenable(path, text)
    if "full" in text:
        return f"no room left for {path} ({text}): free some space on that disk"
    if "disk I/O" in text:
        # A full disk is among what SQLite calls so, where it could not make the file for its index of the log.
        return f"{path}: {text}: look whether its disk is full or failing"
    return f"{path}: {text}; check the file, or name another with --db"


def _unopenable(path: Path, text: str) -> str:
    parent = path.absolute().parent
    if path.is_dir():
        return f"{path} is a directory: name a file with --db"
    if not parent.is_dir():
        return f"no directory {parent} for the database: make it, or name another file with --db"
    return f"no permission to open {path} ({text}): change its permissions or those of {parent}"
