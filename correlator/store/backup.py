"""A copy of the whole store as it is at one moment, while others write it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from correlator.store.database import Store, explained

_PAGES: Final = 4096  # in a step


def copy(store: Store, target: Path) -> None:
    """Copy a store that is open for reading into a new file; UserError in one line.

    What the store was opened at is what is copied: writing goes on meanwhile, and does not begin the copy anew.
    """
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as conn:
            # Nobody reads the new file before it is whole and on disk.
            conn.execute("PRAGMA journal_mode = OFF")
            conn.execute("PRAGMA synchronous = OFF")
            store.conn.backup(conn, pages=_PAGES)
    except sqlite3.DatabaseError as error:
        raise explained(target, error) from error
