"""View records for programs: JSON, one JSON object per line, csv."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TextIO

import msgspec

_MOST_TOGETHER: Final = 200


def write_json(records: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write an indented JSON array, some records after the others."""
    separator = "[\n"
    for some in _together(records):
        out.write(separator + _indented(some).removeprefix("[\n").removesuffix("\n]"))
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")


def _together(records: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield records to be written at once; one that has others below is large enough by itself."""
    some: list[Mapping[str, Any]] = []
    for record in records:
        some.append(record)
        if len(some) == _MOST_TOGETHER or "children" in record:
            yield some
            some = []
    if some:
        yield some


def write_lines(texts: Iterable[bytes], out: TextIO, form: str) -> None:
    """Write JSON objects that are text already, with ``between(form)`` where a text has several of them."""
    separator, between_them = "[\n" if form == "json" else "", between(form).decode()
    for text in filter(None, texts):
        out.write(separator)
        out.write(text.decode())
        separator = between_them
    if form == "json":
        out.write("[]\n" if separator == "[\n" else "\n]\n")
    elif separator:
        out.write("\n")


def between(form: str) -> bytes:
    """Return what stands between the objects of a list."""
    return b",\n" if form == "json" else b"\n"


def between_inner(form: str) -> bytes:
    """Return what stands between the objects of a list inside an object: no line ends within a line of ndjson."""
    return b",\n" if form == "json" else b","


def write_json_object(record: Mapping[str, Any], out: TextIO) -> None:
    """Write one indented JSON object."""
    out.write(_indented(record) + "\n")


def write_ndjson(records: Iterable[Mapping[str, Any]], out: TextIO) -> None:
    """Write one JSON object per line."""
    out.writelines(_encoded(record) + "\n" for record in records)


def write_csv(records: Iterable[Mapping[str, Any]], out: TextIO, columns: Iterable[str] | None = None) -> None:
    """Write csv with a line of names first; those of the first record when none are given."""
    writer = csv.writer(out, lineterminator="\n")
    names = None if columns is None else list(columns)
    if names is not None:
        writer.writerow(names)
    for record in records:
        if names is None:
            names = list(record)
            writer.writerow(names)
        writer.writerow([cell(record.get(name)) for name in names])


def write_csv_columns(batches: Iterable[Mapping[str, Sequence[Any]]], names: Sequence[str], out: TextIO) -> int:
    """Write csv from columns, many rows at a time; return the number of rows."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    rows = 0
    for batch in batches:
        writer.writerows(zip(*(_cells(batch[name]) for name in names), strict=True))
        rows += len(batch[names[0]])
    return rows


def _cells(values: Sequence[Any]) -> Iterable[Any]:
    """Return values as the csv writer takes them: it knows nothing of lists and maps."""
    return map(cell, values) if any(isinstance(value, list | tuple | dict) for value in values) else values


def plain(record: Mapping[str, Any]) -> dict[str, str]:
    """Return a record with its values as csv has them."""
    return {name: cell(value) for name, value in record.items()}


def cell(value: Any) -> str:
    """Return a value as csv has it: nothing is empty, lists and maps are JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple | dict):
        return _encoded(value)
    return str(value)


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _indented(value: Any) -> str:
    return msgspec.json.format(_encoded(value), indent=2)
