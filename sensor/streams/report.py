"""What was recorded, as DFXML and as ndjson: files that are whole at any moment, even after a kill."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from common.addresses import address_text
from common.errors import UserError
from common.timespan import iso_time
from sensor.stream.events import CLIENT
from sensor.streams.recorder import Recorded

MAX_WAITING_BYTES: Final = 64 << 10
"""Of entries in memory; beyond them they are written."""
FileId = tuple[int, int]
"""Device and inode."""
_FAMILIES: Final = {4: int(socket.AF_INET), 16: int(socket.AF_INET6)}
# XML 1.0 has no way to write these, nor half a pair of surrogates.
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Body(NamedTuple):
    """One body taken out of a stream, as the report lists it below the stream's file."""

    name: str
    size: int
    md5: str | None


class Run(NamedTuple):
    """What a report says of the run that it is of."""

    program: str
    version: str
    command: Sequence[str]
    uid: int
    user: str
    start_ns: int
    system: Mapping[str, str]
    """sysname, release, version, nodename, machine: as os.uname() has them."""


class DfxmlReport:
    """A DFXML report with tcpflow's elements; what it ends with is written after every stretch of entries."""

    def __init__(self, path: Path, run: Run, prefix: Path, inputs: Collection[FileId] = ()) -> None:
        self._file = _Growing(path, "-X", inputs)
        self._prefix = str(prefix / "x")[:-1]
        self._file.put(_opening(run).encode())
        self._file.write(_closing({}))

    def add(self, one: Recorded, bodies: Sequence[Body] = ()) -> None:
        """List one file."""
        self._file.put(_fileobject(one, self._prefix, bodies).encode())
        if self._file.is_full():
            self._file.write(_closing({}))

    def close(self, totals: Mapping[str, int]) -> None:
        """Write what waits, and the totals."""
        try:
            self._file.write(_closing(totals))
        finally:
            self._file.close()


class Index:
    """One JSON object a line for each file."""

    def __init__(self, path: Path, inputs: Collection[FileId] = ()) -> None:
        self._file = _Growing(path, "--index", inputs)

    def add(self, one: Recorded, bodies: Sequence[Body] = ()) -> None:
        """List one file."""
        self._file.put(json.dumps(index_row(one, bodies), separators=(",", ":")).encode() + b"\n")
        if self._file.is_full():
            self._file.write()

    def close(self) -> None:
        """Write what waits."""
        try:
            self._file.write()
        finally:
            self._file.close()


def index_row(one: Recorded, bodies: Sequence[Body] = ()) -> dict[str, object]:
    """Return what an index says of a file."""
    source, source_port, destination, destination_port = one.ends
    row: dict[str, object] = {
        "name": one.name,
        "flow_id": one.flow.flow_id,
        "direction": "out" if one.direction == CLIENT else "in",
        "src_host": address_text(source),
        "src_port": source_port,
        "dst_host": address_text(destination),
        "dst_port": destination_port,
        "vlan": one.flow.vlan,
        "first": iso_time(one.first_ns),
        "last": iso_time(one.last_ns),
        "bytes": one.data_bytes,
        "size": one.size,
        "gaps": one.gaps,
        "missed_bytes": one.gap_bytes,
        "cut_bytes": one.cut_bytes,
        "packets": one.packets,
        "md5": one.md5,
    }
    if bodies:
        row["bodies"] = [body._asdict() for body in bodies]
    return row


class _Growing:
    """A file written over from its beginning, whose end is replaced by what comes next."""

    def __init__(self, path: Path, option: str, inputs: Collection[FileId]) -> None:
        self._path = path
        self._option = option
        self._waiting = bytearray()
        self._at = 0
        self._length = 0
        try:
            self._number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise self._failed(error) from None
        found = os.fstat(self._number)
        if not stat.S_ISREG(found.st_mode) or (found.st_dev, found.st_ino) in inputs:
            os.close(self._number)
            fact = "is an input" if stat.S_ISREG(found.st_mode) else "is no file"
            raise UserError(f"{path} {fact} and is not written over; give another with {option}")
        os.ftruncate(self._number, 0)

    def put(self, data: bytes) -> None:
        self._waiting += data

    def is_full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING_BYTES

    def write(self, ending: bytes = b"") -> None:
        """Write what waits and, behind it, what will be replaced the next time."""
        data = bytes(self._waiting) + ending
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._number, data[done:], self._at + done)
            if self._at + len(data) < self._length:
                os.ftruncate(self._number, self._at + len(data))
        except OSError as error:
            raise self._failed(error) from None
        self._length = self._at + len(data)
        self._at += len(self._waiting)
        self._waiting.clear()

    def close(self) -> None:
        with suppress(OSError):  # what was written is checked when it is
            os.close(self._number)

    def _failed(self, error: OSError) -> UserError:
        fact = error.strerror or error
        return UserError(f"cannot write {self._path}: {fact}; make room, or give another path with {self._option}")


def _text(value: object) -> str:
    return escape(_NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", str(value)))


def _opening(run: Run) -> str:
    system = "".join(
        f"      <{element}>{_text(run.system.get(key, ''))}</{element}>\n"
        for element, key in (
            ("os_sysname", "sysname"), ("os_release", "release"), ("os_version", "version"), ("host", "nodename"),
            ("arch", "machine"),
        )
    )  # fmt: skip
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        "<dfxml xmloutputversion='1.0'>\n"
        "  <metadata xmlns='http://afflib.org/tcpflow/' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
        "xmlns:dc='http://purl.org/dc/elements/1.1/'>\n"
        "    <dc:type>Feature Extraction</dc:type>\n"
        "  </metadata>\n"
        "  <creator version='1.0'>\n"
        f"    <program>{_text(run.program)}</program>\n"
        f"    <version>{_text(run.version)}</version>\n"
        "    <execution_environment>\n"
        f"{system}"
        f"      <command_line>{_text(' '.join(run.command))}</command_line>\n"
        f"      <uid>{run.uid}</uid>\n"
        f"      <username>{_text(run.user)}</username>\n"
        f"      <start_time>{iso_time(run.start_ns)}</start_time>\n"
        "    </execution_environment>\n"
        "  </creator>\n"
        "  <configuration>\n"
    )


def _fileobject(one: Recorded, prefix: str, bodies: Sequence[Body]) -> str:
    source, source_port, destination, destination_port = one.ends
    family = _FAMILIES[len(source)]
    # Numbers, times and addresses hold nothing that XML would have to write in another way.
    text = (
        f'startime="{iso_time(one.start_ns)}" endtime="{iso_time(one.last_ns)}" '  # tcpflow's spelling
        f'family="{family}" src_ipn="{address_text(source)}" dst_ipn="{address_text(destination)}" '
        f'srcport="{source_port}" dstport="{destination_port}"'
    )
    extra = {
        "packets": one.packets, "len": one.wire_bytes, "vlan": one.flow.vlan, "gaps": one.gaps,
        "missed_bytes": one.gap_bytes, "cut_bytes": one.cut_bytes,
    }  # fmt: skip
    text += "".join([f' {name}="{value}"' for name, value in extra.items() if value])
    name = "" if one.name is None else f"      <filename>{_text(prefix + one.name)}</filename>\n"
    digest = "" if one.md5 is None else f"      <hashdigest type='MD5'>{one.md5}</hashdigest>\n"
    below = ""
    if bodies:
        runs = "".join(f"        <byte_run>{_body(body, prefix)}</byte_run>\n" for body in bodies)
        below = f"      <byte_runs>\n{runs}      </byte_runs>\n"
    return (
        f"    <fileobject>\n{name}      <filesize>{one.size}</filesize>\n      <tcpflow {text} />\n"
        f"{digest}{below}    </fileobject>\n"
    )


def _body(body: Body, prefix: str) -> str:
    digest = "" if body.md5 is None else f"<hashdigest type='MD5'>{body.md5}</hashdigest>"
    name = _text(prefix + body.name)
    return f"<fileobject><filename>{name}</filename><filesize>{body.size}</filesize>{digest}</fileobject>"


def _closing(totals: Mapping[str, int]) -> bytes:
    summary = "".join(f"  <{name}>{value}</{name}>\n" for name, value in totals.items())
    return f"  </configuration>\n{summary}</dfxml>\n".encode()
