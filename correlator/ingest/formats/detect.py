"""Says by its first bytes what a file is."""

from __future__ import annotations

from enum import Enum
from typing import Final

from common.errors import UserError, WireError
from common.flowlog import MAGIC
from correlator.ingest.formats import argus, nfdump
from correlator.ingest.formats.textrows import csv_cells, has_required_columns, parse_json
from correlator.ingest.formats.zeek import REQUIRED_FIELDS

HEAD_BYTES: Final = 1 << 16
GZIP_MAGIC: Final = b"\x1f\x8b"
_CAPTURES: Final = (
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\xc3\xd4",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x0a\x0d\x0d\x0a",
)
_TRIES: Final = 50


class Format(Enum):
    """What can be imported."""

    FLOW_LOG = "flow log"
    NDJSON = "ndjson"
    CSV = "csv"
    ZEEK_TSV = "Zeek conn.log"
    ZEEK_JSON = "Zeek conn.log in JSON"
    ARGUS = "Argus' flows, as ra prints them"
    NFDUMP = "nfdump's flows, as nfdump -o csv prints them"


def detect_format(head: bytes, name: str) -> Format:
    """Return the format of a file from its first bytes; UserError in one line when it is none."""
    if not head.strip():
        raise UserError(f"{name} is empty: nothing to import")
    if head.startswith(MAGIC[: len(head)]):
        return Format.FLOW_LOG
    if head.startswith(_CAPTURES):
        raise UserError(f"{name} is a packet capture: read it with 'tunnelwatch-sensor read {name} -w x.flowlog' first")
    if head.startswith(nfdump.BINARY_MAGIC):
        raise UserError(
            f"{name} is nfdump's own format, which nfdump reads: "
            f"TZ=UTC nfdump -r {name} -B -o csv | tunnelwatch import -"
        )
    found = _text_format(head.decode("utf-8", errors="replace").removeprefix("\ufeff"))
    if found is None:
        raise UserError(
            f"{name} is not in a known format: import takes flow logs, ndjson or csv with the columns of "
            "'tunnelwatch flows', Zeek conn.log (JSON, or tab-separated with its #fields line), and the flows that "
            "ra of Argus and nfdump -o csv print"
        )
    return found


def _text_format(head: str) -> Format | None:
    """Return what the first line that says something says."""
    lines = [line for line in head.splitlines() if line.strip()][:_TRIES]
    for line in lines:
        if line.startswith("#fields"):
            return Format.ZEEK_TSV if set(REQUIRED_FIELDS) <= set(line.split()) else None
        found = _json_format(line) if line.startswith("{") else None
        if found is not None:
            return found
    return _table_format(lines[0]) if lines else None


def _json_format(line: str) -> Format | None:
    try:
        names = parse_json(line)
    except WireError:
        return None
    if has_required_columns(names):
        return Format.NDJSON
    return Format.ZEEK_JSON if "id.orig_h" in names else None


def _table_format(header: str) -> Format | None:
    """Return whose columns a first line names."""
    try:
        if has_required_columns(csv_cells(header)):
            return Format.CSV
        if nfdump.columns_of(header):
            return Format.NFDUMP
        return Format.ARGUS if argus.columns_of(header) else None
    except WireError:
        return None
