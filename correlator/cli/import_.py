"""``import``: recorded flows from files into the store."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import click

from common.addresses import address_text, endpoint_text
from common.console import printable, say
from common.errors import UserError
from common.flowlog import Batch
from common.records import FlowRecord
from common.textrecords import protocol_name
from common.timespan import iso_time, seconds
from correlator.cli.options import Place, built_by, warn_if_built_otherwise, with_place
from correlator.detection import Detection
from correlator.ingest.importer import Advance, Importer
from correlator.ingest.inputs import STDIN, Input, opened
from correlator.ingest.pipeline import Pipeline, Stored
from correlator.ingest.receiver import Accepted, Refused
from correlator.notify.dispatcher import delivering
from correlator.store.database import writing
from correlator.store.writer import Writer

MAX_COMPLAINTS: Final = 10
_BAR_FROM_BYTES: Final = 1 << 20


@click.command(name="import", short_help="Read recorded flows into the database")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--sensor", default="import", show_default=True, help="Where records are from that do not say it")
@click.option("-v", "--verbose", is_flag=True, help="Every record as it is read, on standard error")
@with_place
def import_(files: tuple[str, ...], sensor: str, place: Place, *, verbose: bool) -> None:
    r"""Read recorded flows into the database; - is standard input, gzip is fine.

    Takes flow logs, ndjson and csv with the columns of 'tunnelwatch flows', Zeek conn.log
    (tab-separated or JSON), and what ra of Argus and nfdump -o csv print. The same file twice adds
    nothing. What is wrong with a file is said and counted, and the rest of it is kept; the exit code is 1
    then.

    \b
    Example:
      tunnelwatch import office.flowlog
      tunnelwatch import -v yesterday.flowlog
      zcat conn.*.log.gz | tunnelwatch import -
      TZ=UTC nfdump -R 2026/12/01 -B -o csv | tunnelwatch import -
    """
    if not 0 < len(sensor) <= 255 or not sensor.isprintable():
        raise click.BadParameter("a name has 1 to 255 printable characters", param_hint="--sensor")
    settings = place.settings()
    failed = 0
    complaints = _Complaints()
    with writing(place.db, built_by(settings)) as store, delivering(store, settings.outputs, say) as dispatcher:
        warn_if_built_otherwise(store, settings)
        pipeline = (_Traced if verbose else Pipeline)(Writer(store), settings.thresholds, tell=dispatcher.tell)
        importer = Importer(pipeline, sensor, time.time_ns(), complaints.say)
        for name in files:
            complaints.begin()
            try:
                with opened(name) as source, _progress(source) as advance:
                    importer.run(source, advance)
            except UserError as error:
                failed += 1
                say(f"error: {error}")
            complaints.end(name)
        found = Detection(store, settings.detect, dispatcher.tell).run(say).alarms if settings.detect.enabled else 0
    tally = importer.tally
    new_alarms = tally.new_alarms + found
    alarms = f", {new_alarms} new alarms" if new_alarms else ""
    torn = f", {tally.torn} cut off at the end" if tally.torn else ""
    left_out = "".join(f", {count} of {what} left out" for what, count in sorted(tally.left_out.items()))
    exchanges = f", {tally.exchanges} HTTP exchanges" if tally.exchanges else ""
    rest = f"{left_out}{torn}{alarms}"
    say(f"{tally.stored} records stored{exchanges}, {tally.duplicates} duplicates, {tally.bad} bad{rest}")
    if failed or tally.bad:
        click.get_current_context().exit(1)


class _Traced(Pipeline):
    """Says every flow record that it is given."""

    def store_frames(self, frames: Sequence[Batch | Refused], now_ns: int, steady: Container[str] = ()) -> Stored:
        """Store frames, and say their records once they are committed."""
        stored = super().store_frames(frames, now_ns, steady)
        for verdict in stored.verdicts:
            if isinstance(verdict, Accepted):
                _trace(verdict.sensor, map(FlowRecord._make, zip(*verdict.flows, strict=True)))
        return stored

    def store_records(self, arrived: Sequence[tuple[str, FlowRecord]], now_ns: int) -> Stored:
        """Store records, and say them once they are committed."""
        stored = super().store_records(arrived, now_ns)
        for sensor, record in arrived:
            _trace(sensor, (record,))
        return stored


def _trace(sensor: str, records: Iterable[FlowRecord]) -> None:
    for record in records:
        client = endpoint_text(address_text(record.client_ip), record.client_port)
        server = endpoint_text(address_text(record.server_ip), record.server_port)
        line = (
            f"{iso_time(record.start_ns)} {printable(sensor)} {protocol_name(record.protocol)} {client} -> {server}: "
            f"packets {record.packets_out} out, {record.packets_in} in, "
            f"bytes {record.payload_bytes_out} out, {record.payload_bytes_in} in, "
            f"{seconds(record.end_ns - record.start_ns)} s{'' if record.end_reason is not None else ' (open)'}"
        )
        say(line)


class _Complaints:
    """The first few lines about what is wrong with a file; the rest is counted."""

    def __init__(self) -> None:
        self._said = 0

    def begin(self) -> None:
        """Start a file."""
        self._said = 0

    def say(self, line: str) -> None:
        """Say one thing that is wrong, or only count it."""
        self._said += 1
        if self._said <= MAX_COMPLAINTS:
            say(f"warning: {line}")

    def end(self, name: str) -> None:
        """Say how much was left unsaid."""
        if self._said > MAX_COMPLAINTS:
            say(f"warning: {name}: {self._said - MAX_COMPLAINTS} more like these")


@contextmanager
def _progress(source: Input) -> Iterator[Advance]:
    """Show a bar for long inputs when standard error is a terminal."""
    if source.name == STDIN or source.size is None or source.size < _BAR_FROM_BYTES or not sys.stderr.isatty():
        yield lambda _position: None
        return
    with click.progressbar(length=source.size, label=printable(source.name), file=sys.stderr) as bar:
        shown = 0

        def advance(position: int | None) -> None:
            nonlocal shown
            now = source.raw.tell() if position is None else position
            bar.update(now - shown)
            shown = now

        yield advance
