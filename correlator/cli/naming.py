"""Names beside the addresses of view records, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final

from common.addresses import parse_endpoint
from correlator.render.table import Column

Find = Callable[[Iterable[str]], Mapping[str, str]]

_KEYS: Final = ("client", "server")
_TOGETHER: Final = 200
"""Records whose addresses are looked up at once; no more are held back."""
_WIDEST: Final = 40
_NAME: Final = Column("name", "name")


def named(records: Iterable[Mapping[str, Any]], find: Find) -> Iterator[dict[str, Any]]:
    """Yield records with ``client_name`` and ``server_name`` after each client and server, on every level."""
    waiting = iter(records)
    while together := list(islice(waiting, _TOGETHER)):
        names = find({address for record in together for address in _addresses(record)})
        yield from (_with_names(record, names) for record in together)


def named_table(
    columns: Sequence[Column], records: Iterable[Mapping[str, Any]], find: Find
) -> tuple[Sequence[Column], Iterable[Mapping[str, Any]]]:
    """Return a table's columns and records with a column of names, where the records are about addresses."""
    rest = named(records, find)
    first = list(islice(rest, _TOGETHER))
    rows = chain(first, rest)
    if not any(key in record for record in first for key in _KEYS):
        return columns, rows
    place = next((index for index, column in enumerate(columns, 1) if column.key in ("label", "server")), len(columns))
    return [*columns[:place], _NAME, *columns[place:]], ({**record, "name": _both(record)} for record in rows)


def _addresses(record: Mapping[str, Any]) -> Iterator[str]:
    for key in _KEYS:
        address = _address(record.get(key))
        if address is not None:
            yield address
    for child in record.get("children", ()):
        yield from _addresses(child)


def _address(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return parse_endpoint(value)[0]
    except ValueError:
        return None


def _with_names(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in record.items():
        found[key] = [_with_names(child, names) for child in value] if key == "children" else value
        if key in _KEYS:
            found[f"{key}_name"] = names.get(_address(value) or "")
    return found


def _both(record: Mapping[str, Any]) -> str | None:
    sides = [(_address(record[key]), record[f"{key}_name"]) for key in _KEYS if record.get(key) is not None]
    if not any(name for _, name in sides):
        return None
    return " -> ".join(_short(name or str(address)) for address, name in sides)


def _short(name: str) -> str:
    return name if len(name) <= _WIDEST else name[: _WIDEST - 1] + "…"
