"""The spool's note about the run that uses it, from which the next one learns that it was not stopped but ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from common.kinds import UINT63_MAX
from common.timespan import iso_time

_Count = Annotated[int, msgspec.Meta(ge=0, le=UINT63_MAX)]
_MOST_BYTES = 4096


class _Note(msgspec.Struct, frozen=True, kw_only=True):
    run: _Count
    stopped: bool = False
    flows_open: _Count = 0
    records: _Count = 0
    unclean_stops: _Count = 0


class RunFile:
    """The file ``run``: small JSON, replaced as a whole. What goes wrong with it never hinders the run."""

    def __init__(self, directory: Path, run: int) -> None:
        self._path = directory / "run"
        self._partial = directory / "run.new"
        self._note = _Note(run=run)
        self.begun = False

    @property
    def unclean_stops(self) -> int:
        """How many runs with this spool ended without a stop."""
        return self._note.unclean_stops

    def paths(self) -> list[Path]:
        """Return the files that are there."""
        return [path for path in (self._path, self._partial) if path.exists()]

    def look_back(self) -> str:
        """Take what the run before left; return a line when it did not stop, or left nothing legible."""
        try:
            with self._path.open("rb") as file:
                before = msgspec.json.decode(file.read(_MOST_BYTES), type=_Note)
        except FileNotFoundError:
            return ""
        except (OSError, msgspec.MsgspecError, UnicodeError) as error:
            fact = error.strerror if isinstance(error, OSError) else "not what a sensor writes"
            return f"cannot read {self._path} ({fact}): whether the run before was stopped is not known"
        stops = before.unclean_stops + (not before.stopped)
        self._note = msgspec.structs.replace(self._note, unclean_stops=stops)
        if before.stopped:
            return ""
        return (
            f"the run before, of {iso_time(before.run)}, ended without a stop: what its {before.flows_open} open flows "
            f"(at its last statistics, after {before.records} records) had since their last record is lost"
        )

    def begin(self) -> bool:
        """Note that a run is on; return whether that could be written."""
        self.begun = self._write(self._note)
        return self.begun

    def count(self, flows_open: int, records: int) -> None:
        """Note the latest statistics."""
        self._note = msgspec.structs.replace(self._note, flows_open=flows_open, records=records)
        if self.begun:
            self._write(self._note)

    def stop(self) -> None:
        """Note that the run was stopped."""
        if self.begun:
            self._write(msgspec.structs.replace(self._note, stopped=True))

    def _write(self, note: _Note) -> bool:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        content = msgspec.json.encode(note)
        try:
            opened = os.open(self._partial, flags, 0o600)
            try:
                whole = os.write(opened, content) == len(content)
            finally:
                os.close(opened)
            if whole:
                self._partial.rename(self._path)
        except OSError:
            return False
        return whole
