"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from common.errors import UserError


@contextmanager
def whole(path: Path, *, force: bool) -> Iterator[Path]:
    """Give the path of an empty file to write; it gets its name when that is done and on disk.

    UserError in one line when it cannot be written, or when ``path`` is there and not to be replaced.
    """
    _refuse(path, force=force)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        with open(unfinished, "xb"):
            pass
        yield unfinished
        _sync(unfinished)
        _refuse(path, force=force)
        unfinished.replace(path)
        _sync(path.absolute().parent)
    except OSError as error:
        fact = error.strerror or str(error)
        raise UserError(f"cannot write {path}: {fact}; make room, or name another file") from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _refuse(path: Path, *, force: bool) -> None:
    if path.is_dir():
        raise UserError(f"{path} is a directory: name a file")
    if not force and os.path.lexists(path):
        raise UserError(f"{path} is there already: name another file, or replace it with --force")


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
