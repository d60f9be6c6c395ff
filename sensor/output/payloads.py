"""The payload of flows in files named as flowgrep's: kept in memory until a flow is wanted, then written through."""

from __future__ import annotations

import os
from collections import OrderedDict, deque
from pathlib import Path
from typing import Final, NamedTuple

from common.addresses import address_text
from common.errors import UserError
from sensor.stream.events import CLIENT, Began

KEEP_BYTES_PER_FLOW: Final = 1 << 20
KEEP_BYTES: Final = 64 << 20
MAX_FILE_BYTES: Final = 1 << 30
MAX_OPEN_FILES: Final = 64
_MAX_SAME_NAMES: Final = 1000
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
_NS = 1_000_000_000
_CHUNK_COST = 100


def payload_name(began: Began, direction: int, time_ns: int | None = None) -> str:
    """Return ``time-source-port-destination-port-protocol`` for one direction of a flow, time in whole seconds."""
    ends = (address_text(began.client_ip), began.client_port), (address_text(began.server_ip), began.server_port)
    source, destination = ends if direction == CLIENT else ends[::-1]
    seconds = (began.time_ns if time_ns is None else time_ns) // _NS
    protocol = _PROTOCOLS.get(began.protocol, f"ip{began.protocol}")
    return f"{seconds}-{source[0]}-{source[1]}-{destination[0]}-{destination[1]}-{protocol}"


class _Kept(NamedTuple):
    """Payload of one flow that may be wanted yet."""

    chunks: deque[tuple[int, bytes]]
    size: list[int]  # one number: bytes with what keeping them costs


class KeptPayload:
    """The newest payload of flows that nobody asked for yet, within bounds."""

    def __init__(self, flow_bytes: int = KEEP_BYTES_PER_FLOW, total_bytes: int = KEEP_BYTES) -> None:
        self._flow_bytes = flow_bytes
        self._total_bytes = total_bytes
        self._flows: OrderedDict[int, _Kept] = OrderedDict()
        self._dropped: dict[int, int] = {}
        self.held_bytes = 0

    def add(self, flow_id: int, direction: int, data: bytes) -> None:
        """Keep a piece; the oldest of the flow goes, then of the flow that was silent longest."""
        kept = self._flows.get(flow_id)
        if kept is None:
            kept = self._flows[flow_id] = _Kept(deque(), [0])
        else:
            self._flows.move_to_end(flow_id)
        kept.chunks.append((direction, data))
        kept.size[0] += len(data) + _CHUNK_COST
        self.held_bytes += len(data) + _CHUNK_COST
        while kept.size[0] > self._flow_bytes and len(kept.chunks) > 1:
            self._drop(flow_id, kept)
        while self.held_bytes > self._total_bytes:
            oldest, other = next(iter(self._flows.items()))
            self._drop(oldest, other)
            if not other.chunks:
                del self._flows[oldest]

    def take(self, flow_id: int) -> tuple[list[tuple[int, bytes]], int]:
        """Return a flow's pieces in order, and how many bytes of it had to go."""
        kept = self._flows.pop(flow_id, None)
        lost = self._dropped.pop(flow_id, 0)
        if kept is None:
            return [], lost
        self.held_bytes -= kept.size[0]
        return list(kept.chunks), lost

    def _drop(self, flow_id: int, kept: _Kept) -> None:
        _, data = kept.chunks.popleft()
        kept.size[0] -= len(data) + _CHUNK_COST
        self.held_bytes -= len(data) + _CHUNK_COST
        self._dropped[flow_id] = self._dropped.get(flow_id, 0) + len(data)


class PayloadFiles:
    """Files in one directory, few of them open at a time; none that was there before is touched."""

    def __init__(self, directory: str, *, file_bytes: int = MAX_FILE_BYTES, open_files: int = MAX_OPEN_FILES) -> None:
        self._directory = Path(directory)
        self._file_bytes = file_bytes
        self._max_open = open_files
        self._open: OrderedDict[str, int] = OrderedDict()
        self.written = 0
        """Files."""
        self.cut_bytes = 0
        """Bytes that were more than a file may have."""
        self.created = False
        try:
            self._directory.mkdir(mode=0o700)
            self.created = True
        except FileExistsError:
            pass
        except OSError as error:
            raise self._failed(directory, error) from None
        if not self._directory.is_dir():
            raise UserError(f"{directory} is no directory; give another with -l")

    def create(self, name: str) -> str:
        """Make an empty file of this name, or of this name and a number if there is one; return its path."""
        for number in range(1, _MAX_SAME_NAMES + 1):
            path = str(self._directory / (name if number == 1 else f"{name}.{number}"))
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND, 0o600)
            except FileExistsError:
                continue
            except OSError as error:
                raise self._failed(path, error) from None
            self._remember(path, handle)
            self.written += 1
            return path
        raise UserError(f"there are {_MAX_SAME_NAMES} files {self._directory / name} already; give another with -l")

    def append(self, path: str, data: bytes) -> None:
        """Write to the end of a file that was created here."""
        try:
            handle = self._open.get(path)
            if handle is None:
                handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
                self._remember(path, handle)
            self._open.move_to_end(path)
            room = self._file_bytes - os.fstat(handle).st_size
            if len(data) > room:
                self.cut_bytes += len(data) - max(room, 0)
                data = data[: max(room, 0)]
            while data:
                data = data[os.write(handle, data) :]
        except OSError as error:
            raise self._failed(path, error) from None

    def close(self) -> None:
        """Close all files."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _remember(self, path: str, handle: int) -> None:
        self._open[path] = handle
        while len(self._open) > self._max_open:
            os.close(self._open.popitem(last=False)[1])

    def _failed(self, path: str, error: OSError) -> UserError:
        return UserError(
            f"cannot write {path}: {error.strerror}; give a directory with room that this user may write (-l)"
        )
