"""What sensors wrote to their spools, kept by a hard link to every segment, and how it compares with the store."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from common.errors import WireError
from common.flowlog import Frame, check_file_header, decode_payload, scan_frames
from common.records import FlowRecord

_POLL_S = 0.002
Key = tuple[str, int, int]


class Sums(NamedTuple):
    """What the records add up to, which a record counted twice would change."""

    flows: int = 0
    packets: int = 0
    wire_bytes: int = 0


class Truth:
    """Links segments as they appear, and reads one when the sensor has deleted it: nobody writes to it then."""

    def __init__(self, spools: list[Path]) -> None:
        self._spools = spools
        self._kept: dict[Path, Path] = {}
        self.unlinked: list[str] = []
        self.keys: Counter[Key] = Counter()
        self.sums = Sums()
        self.frames = 0
        self._lock = threading.Lock()
        self._ending = threading.Event()
        for spool in spools:
            self._keep(spool).mkdir()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop watching, and read what is left."""
        self._ending.set()
        self._thread.join()
        self._look()
        self._read(everything=True)

    @property
    def flows_spooled(self) -> int:
        """Flow records read so far."""
        return self.keys.total()

    def waiting(self) -> int:
        """Segments that lie in the spools."""
        return sum(len(list(spool.glob("*.flowlog"))) for spool in self._spools)

    def _watch(self) -> None:
        while not self._ending.wait(_POLL_S):
            self._look()
            self._read(everything=False)

    @staticmethod
    def _keep(spool: Path) -> Path:
        # On the same file system, or there could be no link.
        return spool.parent / f"{spool.name}.kept"

    def _look(self) -> None:
        for spool in self._spools:
            keep = self._keep(spool)
            for entry in os.scandir(spool):
                if not entry.name.endswith(".flowlog") or keep / entry.name in self._kept:
                    continue
                try:
                    os.link(entry.path, keep / entry.name)
                except FileNotFoundError:
                    continue  # too late; what it held will be in the store and not here, which is told as extra
                except OSError as error:
                    self.unlinked.append(f"{entry.name}: {error.strerror}")
                    continue
                self._kept[keep / entry.name] = spool / entry.name

    def _read(self, *, everything: bool) -> None:
        for kept, original in list(self._kept.items()):
            if everything or not original.exists():
                self._count(kept.read_bytes())
                kept.unlink()
                del self._kept[kept]

    def _count(self, content: bytes) -> None:
        data = memoryview(content)
        try:
            offset = check_file_header(data)
        except WireError:
            return  # killed before the header was written
        names: dict[str, tuple[str, ...]] = {}
        for item in scan_frames(data, offset):
            if not isinstance(item, Frame):
                continue
            batch = decode_payload(item.payload)
            if batch.kind == "header":
                names = {kind: tuple(fields) for kind, fields in batch.records}
                assert names["flow"] == FlowRecord._fields
                continue
            self.frames += 1
            if batch.kind == "flow":
                self._add(batch.sensor, [FlowRecord._make(row) for row in batch.records])

    def _add(self, sensor: str, records: list[FlowRecord]) -> None:
        self.keys.update((sensor, record.flow_id, record.part) for record in records)
        flows, packets, size = self.sums
        self.sums = Sums(
            flows + sum(record.part == 0 for record in records),
            packets + sum(record.packets_out + record.packets_in for record in records),
            size + sum(record.wire_bytes_out + record.wire_bytes_in for record in records),
        )


class Compared(NamedTuple):
    """What came of it; all of the first four are zero when nothing was lost and nothing counted twice."""

    missing: int
    extra: int
    spooled_twice: int
    sums_off: int
    stored: int
    frames_duplicate: int
    frames_missing: int
    frames_refused: int


def compare(truth: Truth, db: Path) -> Compared:
    """Compare a closed truth with a store."""
    with closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as conn:
        query = "SELECT sensor, flow_id, part FROM flow_records JOIN sensors USING (sensor_id)"
        stored = Counter((sensor, flow_id, part) for sensor, flow_id, part in conn.execute(query))
        sums = Sums._make(
            conn.execute(
                """SELECT total(connections), total(packets_out + packets_in),
                          total(wire_bytes_out + wire_bytes_in) FROM channel_periods"""
            ).fetchone()
        )
        counted = conn.execute(
            "SELECT total(frames_duplicate), total(frames_missing), total(frames_refused) FROM sensors"
        ).fetchone()
        whole = conn.execute("PRAGMA integrity_check").fetchone()[0]
    assert whole == "ok", whole
    return Compared(
        (truth.keys - stored).total(),
        (stored - truth.keys).total(),
        sum(count - 1 for count in truth.keys.values()),
        sum(abs(int(ours - theirs)) for ours, theirs in zip(sums, truth.sums, strict=True)),
        stored.total(),
        *map(int, counted),
    )
