"""The spool's files that are to go: deleted at once, or later where that fails now."""

from __future__ import annotations

from pathlib import Path


class Removal:
    """Deletes files of one directory; what cannot be deleted waits."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._waiting: list[Path] = []
        self.trouble = ""  # why the first of those that wait is there still
        self.unsynced = False  # whether the directory has changed

    def delete(self, path: Path) -> None:
        """Delete a file that may be gone."""
        try:
            path.unlink()
        except FileNotFoundError:
            if not self._directory.is_dir():  # it may come back, and the file with it
                self._waiting.append(path)
        except OSError as error:
            self._waiting.append(path)
            self.trouble = self.trouble or (
                f"cannot delete {path}: {error.strerror}; put it right, or the spool outgrows its bound"
            )
        else:
            self.unsynced = True

    def again(self) -> None:
        """Delete what could not be deleted before."""
        waiting, self._waiting, self.trouble = self._waiting, [], ""
        for path in waiting:
            self.delete(path)
