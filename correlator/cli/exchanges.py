"""``exchanges``: HTTP requests and their responses."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click

from common.addresses import endpoint_text
from common.records import HttpExchange
from common.textrecords import EXCHANGE_COLUMNS, exchange_row
from common.timespan import iso_time, seconds
from correlator.cli.options import Place, format_options, open_store, who_and_when_options, with_place
from correlator.cli.output import print_records
from correlator.render.table import Column, human_bytes, human_duration, human_time
from correlator.rows import Selection
from correlator.store.exchanges import Wanted, select_exchanges

_COLUMNS: Final = (
    Column("start", "start (UTC)", human_time),
    Column("client", "client"),
    Column("server", "server", spare=True),
    Column("method", "method"),
    Column("goes_to", "host"),
    Column("uri_bytes", "uri", human_bytes, right=True, spare=True),
    Column("request_body_bytes", "out", human_bytes, right=True),
    Column("status", "status", right=True),
    Column("response_body_bytes", "in", human_bytes, right=True),
    Column("content_type", "type", spare=True),
    Column("duration", "lasted", human_duration, right=True, spare=True),
    Column("anomalies", "anomalies"),
)
_STATUS: Final = re.compile(r"([1-9])xx|([1-9]\d\d)(?:-([1-9]\d\d))?", re.IGNORECASE)


class _Status(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """A status, a range of them, or a class such as 5xx."""

    name = "status"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the first and the last."""
        found = _STATUS.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no status: 404, 400-499 or 5xx", param, ctx)
        hundreds, first, last = found.groups()
        return (int(f"{hundreds}00"), int(f"{hundreds}99")) if hundreds else (int(first), int(last or first))


@click.command(short_help="HTTP requests and responses, newest first")
@with_place
@who_and_when_options
@click.option("--method", "methods", multiple=True, metavar="NAME", help="This method only. Repeatable.")
@click.option(
    "--status", "statuses", multiple=True, type=_Status(), metavar="N|N-M|5xx", help="These statuses only. Repeatable."
)
@click.option("--anomaly", "anomalies", multiple=True, metavar="WORD", help="With this anomaly, or any. Repeatable.")
@click.option("--ascending", is_flag=True, help="Oldest first")
@click.option("-n", "limit", type=click.IntRange(min=1), metavar="N", help="At most so many rows")
@format_options
def exchanges(place: Place, chosen: Selection, *, form: str, **options: Any) -> None:
    r"""Show HTTP exchanges, newest first: what clients asked for, through proxies too, and what was odd about it.

    A CONNECT that succeeded is over with the head of its response; what followed is in the flow.

    \b
    Example:
      tunnelwatch exchanges --client 10.1.1.9 -n 20
      tunnelwatch exchanges --method CONNECT --anomaly connect-odd-port --ndjson
      tunnelwatch exchanges --status 4xx --anomaly any --since 2h
    """
    words = tuple(word.lower() for word in options["anomalies"])
    wanted = Wanted(
        methods=tuple(method.upper() for method in options["methods"]),
        statuses=options["statuses"],
        anomalies=() if "any" in words else words,
        odd="any" in words,
        ascending=options["ascending"],
        limit=options["limit"],
    )
    with open_store(place) as store:
        form_of = _for_people if form == "table" else exchange_row
        rows = (form_of(record, sensor) for sensor, record in select_exchanges(store, chosen, wanted))
        print_records(rows, form, _COLUMNS, EXCHANGE_COLUMNS, empty="no exchanges")
        sys.stdout.flush()


def _for_people(record: HttpExchange, sensor: str) -> dict[str, Any]:
    row = exchange_row(record, sensor)
    host, port = row["host"], row["host_port"]
    return {
        **row,
        "start": iso_time(row["start_ns"]),
        "client": endpoint_text(row["client_ip"], row["client_port"]),
        "server": endpoint_text(row["server_ip"], row["server_port"]),
        "goes_to": host if host is None or port in (None, 80) else f"{host}:{port}",
        "duration": seconds(row["end_ns"] - row["start_ns"]),
        "anomalies": " ".join(row["anomalies"] or ()),
    }
