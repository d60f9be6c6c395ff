"""``sensors``: who sends, and how well."""

from __future__ import annotations

from typing import Any, Final

import click

from common.timespan import iso_time
from correlator.cli.options import Place, format_options, open_store, with_place
from correlator.cli.output import print_records
from correlator.render.table import Column, human_count, human_time
from correlator.rows import SensorRow
from correlator.store import queries

_COLUMNS: Final = (
    Column("sensor", "sensor"),
    Column("version", "version", spare=True),
    Column("source", "source", spare=True),
    Column("last_contact", "last contact (UTC)", human_time),
    Column("records_stored", "records", human_count, right=True),
    Column("records_refused", "refused", human_count, right=True),
    Column("frames_missing", "frames missing", human_count, right=True),
    Column("packets", "packets", human_count, right=True),
    Column("kernel_drops", "drops", human_count, right=True),
    Column("flows_open", "flows open", human_count, right=True),
)


@click.command(short_help="Who sends, and how well")
@with_place
@format_options
def sensors(place: Place, form: str) -> None:
    r"""Show every sensor, and every name that files were imported under.

    \b
    Example:
      tunnelwatch sensors
      tunnelwatch sensors --json
    """
    with open_store(place) as store:
        rows = [_record(row) for row in queries.sensors(store.conn)]
    if form == "table":
        rows = [{**row, **(row["stats"] or {})} for row in rows]
    print_records(rows, form, _COLUMNS)


def _record(row: SensorRow) -> dict[str, Any]:
    plain = row._asdict()
    stats = plain.pop("stats")
    if stats is not None:
        stats = {"time": iso_time(stats["time_ns"]), **{k: v for k, v in stats.items() if k != "time_ns"}}
    for name in ("first_contact", "last_contact"):
        plain[name] = iso_time(plain.pop(f"{name}_ns"))
    return {**plain, "stats": stats}
