"""Flow records as ndjson or csv lines, with the column names of ``tunnelwatch flows``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from common.errors import WireError
from common.textrecords import REQUIRED_COLUMNS, flow_from_row
from correlator.ingest.formats.lines import BadLine, Line, Row, flow_id_of
from correlator.ingest.receiver import check_plausible

_MAX_NAME: Final = 255


def parse_json(text: str) -> dict[str, Any]:
    """Return the object of a line; numbers with a fraction stay text, so that none is rounded."""
    try:
        parsed = json.loads(text, parse_float=str, parse_constant=_refuse_constant)
    except RecursionError:
        raise WireError("json", "nested too deeply") from None
    except ValueError as error:
        raise WireError("json", f"not JSON: {str(error)[:200]}") from None
    if not isinstance(parsed, dict):
        raise WireError("json", "not a JSON object")
    return parsed


def read_ndjson(lines: Iterable[Line | BadLine]) -> Iterator[Row | BadLine]:
    """Yield a record per line of JSON."""
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            yield _row(parse_json(line.text), line)
        except WireError as error:
            yield BadLine(line.number, str(error))


def read_csv(lines: Iterable[Line | BadLine]) -> Iterator[Row | BadLine]:
    """Yield a record per line after the first, which names the columns."""
    header: list[str] | None = None
    for line in lines:
        if isinstance(line, BadLine):
            yield line
            continue
        try:
            cells = csv_cells(line.text)
            if header is None:
                header = cells
                continue
            yield _row(_named(header, cells), line)
        except WireError as error:
            yield BadLine(line.number, str(error))


def csv_cells(text: str) -> list[str]:
    """Return the cells of one line; a quote that does not close spoils its own line only."""
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise WireError("csv", f"not csv: {error}") from None


def has_required_columns(names: Iterable[str]) -> bool:
    """Tell whether names are enough for a record."""
    return set(REQUIRED_COLUMNS) <= set(names)


def _named(header: list[str], cells: list[str]) -> dict[str, str | None]:
    if len(cells) != len(header):
        raise WireError("csv", f"{len(cells)} cells, the first line names {len(header)} columns")
    # An empty cell is nothing, which for end_reason is "still open".
    return {name: cell or None for name, cell in zip(header, cells, strict=True)}


def _row(row: Mapping[str, Any], line: Line) -> Row:
    sensor = row.get("sensor")
    if sensor is not None and not (isinstance(sensor, str) and 0 < len(sensor) <= _MAX_NAME and sensor.isprintable()):
        raise WireError("record_value", f"sensor is {sensor!r:.80}")
    default_id = 0 if row.get("flow_id") else flow_id_of(line.text, line.number)
    record = flow_from_row(row, default_id)
    check_plausible(record)
    return Row(sensor, record)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
