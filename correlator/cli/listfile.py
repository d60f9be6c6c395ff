"""List entries as lines of text and as csv, both ways; a bad line is named and stays alone."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from common.timespan import iso_time, parse_time
from correlator.cli import who
from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, Limits, ListKind, subject_text
from correlator.ingest.formats.lines import BadLine, Line

MAX_LINE: Final = 4096
MAX_COMMENT: Final = 200
CSV_COLUMNS: Final = (
    "kind", "client", "server", "port", "host", "all", "over", "bytes", "packets", "tcp_uptime_s", "severity", "until",
    "comment",
)  # fmt: skip
_COMMENT: Final = re.compile(r"(?:^|\s)#(.*)$")
_TRUE: Final = frozenset(("yes", "true", "1", "all"))
_FALSE: Final = frozenset(("no", "false", "0"))


class Numbered(NamedTuple):
    """An entry and the line that it came from."""

    number: int
    entry: Entry


def read_lines(lines: Iterable[Line | BadLine], kind: ListKind | None = None) -> Iterator[Numbered | BadLine]:
    """Yield the entries of a list file; ``kind`` is that of lines which do not say it.

    A first line of column names makes it csv.
    """
    columns: list[str] | None = None
    first = True
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        if len(line.text) > MAX_LINE:
            yield BadLine(line.number, f"longer than {MAX_LINE} characters")
            continue
        try:
            if first and not line.text.lstrip().startswith("#"):
                first = False
                columns = _header(line.text)
                if columns is not None:
                    continue
            found = _read_text(line.text, kind) if columns is None else _read_cells(columns, line.text, kind)
        except (ValueError, csv.Error) as error:
            yield BadLine(line.number, str(error))
            continue
        if found is not None:
            yield Numbered(line.number, found)


def entry_from(values: Mapping[str, str], kind: ListKind | None = None) -> Entry:
    """Return the entry that words make, by the names of CSV_COLUMNS; ValueError in one line."""
    given = {name: value.strip() for name, value in values.items() if value.strip()}
    found = _kind(given.pop("kind")) if "kind" in given else kind
    if found is None:
        raise ValueError("no kind: write white, red or black first, or give --kind")
    read = {name: _READ[name](value) for name, value in given.items()}
    server, port = read.pop("server", (None, None))
    if port is not None and "port" in read:
        raise ValueError("a port in server, and port: leave one of them out")
    ports = read.pop("port", None if port is None else (port, port))
    limits = Limits(*(read.pop(name, None) for name in Limits._fields))
    names = {"all": "everything", "over": "over_percent", "until": "expires_ns"}
    return checked(
        Entry(
            found,
            server=server,
            ports=ports,
            limits=limits,
            **{names.get(name, name): value for name, value in read.items()},
        )
    )


def checked(entry: Entry) -> Entry:
    """Return the entry; ValueError in one line for one that says nothing, or what its kind cannot."""
    if not (entry.client or entry.server or entry.ports or entry.host):
        raise ValueError("an entry names a client, a server, a port or a host: client=, server=, port= or host=")
    if entry.everything and entry.kind is not ListKind.WHITE:
        raise ValueError(f"'all' is for white entries, not {entry.kind}: leave it out")
    if entry.over_percent is not None and entry.kind is not ListKind.RED:
        raise ValueError(f"'over' is for red entries, not {entry.kind}: leave it out")
    if entry.kind is ListKind.RED and not entry.limits and entry.over_percent is None:
        raise ValueError("a red entry has a limit: over=, bytes=, packets= or tcp_uptime_s=")
    if entry.kind is ListKind.WHITE and (entry.limits or entry.severity is not None):
        raise ValueError("limits and severity are for red and black entries: leave them out, or write red")
    return entry


def entry_line(entry: Entry) -> str:
    """Return an entry as the line that reads as the same entry."""
    words = [entry.kind.value, *subject_text(entry).split(" ")]
    cells = entry_cells(entry)
    words += [f"{name}={cells[name]}" for name in CSV_COLUMNS[6:12] if cells[name]]
    if entry.everything:
        words.append("all")
    return " ".join(words) + (f" # {entry.comment}" if entry.comment else "")


def entry_cells(entry: Entry) -> dict[str, str]:
    """Return an entry as csv cells; nothing is an empty one."""
    first, last = entry.ports or (None, None)
    found = {
        "kind": entry.kind.value,
        "client": entry.client,
        "server": entry.server,
        "port": first if first == last else f"{first}-{last}",
        "host": entry.host,
        "all": "yes" if entry.everything else None,
        "over": entry.over_percent,
        **entry.limits._asdict(),
        "severity": entry.severity,
        "until": None if entry.expires_ns is None else iso_time(entry.expires_ns),
        "comment": entry.comment,
    }
    return {name: "" if found[name] is None else str(found[name]) for name in CSV_COLUMNS}


def _header(text: str) -> list[str] | None:
    """Return the columns that a line names, None when it names none."""
    cells = [cell.strip().lower() for cell in next(csv.reader([text]))]
    return cells if len(cells) > 1 and set(cells) <= set(CSV_COLUMNS) else None


def _read_cells(columns: list[str], text: str, kind: ListKind | None) -> Entry | None:
    if text.lstrip().startswith("#"):
        return None
    cells = next(csv.reader([text], strict=True))
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} cells, and the first line has {len(columns)}")
    return entry_from(dict(zip(columns, cells, strict=True)), kind)


def _read_text(text: str, kind: ListKind | None) -> Entry | None:
    comment = _COMMENT.search(text)
    words = (text[: comment.start()] if comment else text).split()
    if not words:
        return None
    values: dict[str, str] = {"comment": comment[1]} if comment else {}
    if words[0].lower() in set(ListKind):
        values["kind"] = words.pop(0)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            name, value = _bare(word)
        if name not in _READ or name == "comment":
            raise ValueError(f"no field {name!r:.40}; the fields are {', '.join(CSV_COLUMNS[1:-1])}")
        if name in values:
            raise ValueError(f"{name} is there twice")
        values[name] = value
    return entry_from(values, kind)


def _bare(word: str) -> tuple[str, str]:
    """Return the field that a word without a name is of: ``all``, a server's address or network, or a host name."""
    if word.lower() == "all":
        return "all", "yes"
    try:
        who.endpoint(word)
    except ValueError:
        if re.fullmatch(r"\[?[0-9a-fA-F.:]*[/:][0-9.\]:/]*|[0-9.]+", word):
            raise  # an address that went wrong is no name
        return "host", word
    return "server", word


def _kind(text: str) -> ListKind:
    if text.lower() not in set(ListKind):
        raise ValueError(f"no kind {text!r:.40}; the kinds are white, red and black")
    return ListKind(text.lower())


def _flag(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"'all' is yes or no, not {text!r:.40}")
    return text.lower() in _TRUE


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"not a limit: {text!r:.40}; write a whole number such as 5000000")
    return int(text)


def _percent(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found <= 1e9:
        raise ValueError(f"not a percentage: {text!r:.40}; write a number such as 30")
    return found


def _severity(text: str) -> Severity:
    try:
        return Severity(text.lower())
    except ValueError:
        raise ValueError(f"no severity {text!r:.40}; they are {', '.join(Severity)}") from None


def _until(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError:
        raise ValueError(f"not a time: {text!r:.40}; write 2027-01-31 or 2027-01-31T12:00:00Z") from None


def _comment(text: str) -> str:
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return plain[:MAX_COMMENT].rstrip()


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "client": who.address,
    "server": who.endpoint,
    "port": who.ports,
    "host": who.host_name,
    "all": _flag,
    "over": _percent,
    "bytes": _whole,
    "packets": _whole,
    "tcp_uptime_s": _whole,
    "severity": _severity,
    "until": _until,
    "comment": _comment,
}
