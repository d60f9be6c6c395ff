"""Many flow records at once: a tuple of values per field, which the interpreter's own loops go through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from common.records import FlowRecord

Columns = tuple[tuple[Any, ...], ...]
"""Values of records by field, in the order of FlowRecord; empty when there is no record."""

AT: Final = {name: place for place, name in enumerate(FlowRecord._fields)}


def columns_of(records: Sequence[Sequence[Any]]) -> Columns:
    """Return the columns of records, or of rows in the order of FlowRecord."""
    return tuple(zip(*records, strict=True))
