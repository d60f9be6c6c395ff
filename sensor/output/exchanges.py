"""HTTP exchanges as JSON lines in a file or on standard output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from common.records import HttpExchange
from sensor.output.flowlog import close_file, write_all
from sensor.output.text import exchange_lines


class ExchangesFile:
    """Lines being written."""

    def __init__(self, path: str, file: BinaryIO, sensor: str) -> None:
        self._path = path
        self._file = file
        self._sensor = sensor

    def write(self, exchanges: Sequence[HttpExchange]) -> None:
        """Write exchanges."""
        if exchanges:
            write_all(self._file, exchange_lines(exchanges, self._sensor).encode(), self._path)

    def close(self) -> None:
        """Close the file, whole or not."""
        close_file(self._file, self._path)
