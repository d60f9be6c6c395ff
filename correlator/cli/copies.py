"""``db backup`` and ``db export``: the database, or its records, as files for others."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from common.console import say
from common.errors import UserError
from correlator.cli.options import Place, open_store, selection_options, with_place
from correlator.files import whole
from correlator.render import machine, parquet
from correlator.rows import Selection
from correlator.store.backup import copy
from correlator.store.database import log_bytes
from correlator.store.export import columns, exported
from correlator.store.writer import uncollected

_FORMS: Final = (".parquet", ".csv")
_FORCE: Final = click.option("--force", is_flag=True, help="Replace FILE when it is there")


@click.command(short_help="A copy of the database while it is in use")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@_FORCE
@with_place
def backup(file: Path, place: Place, *, force: bool) -> None:
    r"""Copy the database as it is now; sensors may go on sending meanwhile.

    FILE appears when it is whole and on disk.

    \b
    Example:
      tunnelwatch db backup /mnt/backup/tunnelwatch-2026-11-21.db
    """
    _refuse_itself(file, place)
    if log_bytes(file):
        raise UserError(f"{file}-wal belongs to a database of that name that is in use: name another file")
    with open_store(place) as store, whole(file, force=force) as unfinished:
        copy(store, unfinished)
    say(f"wrote {file}: {file.stat().st_size} bytes")


@click.command(short_help="Records as a Parquet or csv file")
@click.argument("file", metavar="FILE.parquet|FILE.csv", type=click.Path(path_type=Path))
@click.option("--details", is_flag=True, help="All fields of the records; takes several times as long")
@_FORCE
@with_place
@selection_options
def export(file: Path, place: Place, chosen: Selection, *, details: bool, force: bool) -> None:
    r"""Write flow records to a file, in the order in which they are stored; several for a long flow.

    Names are those of 'tunnelwatch flows --parts', and 'import' reads the csv. Without --details the fields of
    sizes, gaps, flags and rounds are left out. Parquet needs the extra tunnelwatch[parquet].

    \b
    Example:
      tunnelwatch db export november.parquet --protocol all --since 2026-11-01
      tunnelwatch db export web.csv --port 443 --details
    """
    form = file.suffix.lower()
    if form not in _FORMS:
        raise click.UsageError(f"{file} is neither .parquet nor .csv: end its name in one of them")
    if form == ".parquet":
        parquet.library()
    _refuse_itself(file, place)
    names = exported(details=details)
    with uncollected(), open_store(place) as store, whole(file, force=force) as unfinished:
        batches = columns(store, chosen, details=details)
        if form == ".parquet":
            rows = parquet.save(batches, names, unfinished)
        else:
            with unfinished.open("w", encoding="utf-8", newline="") as out:
                rows = machine.write_csv_columns(batches, names, out)
    say(f"wrote {file}: {rows} records")


def _refuse_itself(file: Path, place: Place) -> None:
    if file.exists() and place.db.exists() and file.samefile(place.db):
        raise UserError(f"{file} is the database itself: name another file")
