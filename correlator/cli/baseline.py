"""``baseline``: what was learned of a client, hour by hour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import click

from common.addresses import endpoint_text
from common.errors import UserError
from correlator.cli.options import Place, address, endpoint, format_options, host_name, open_store, with_place
from correlator.cli.output import print_records
from correlator.detect.baseline import FIGURES, Figure, amount
from correlator.detect.profile import Level
from correlator.learning import Profiled, profile
from correlator.render.table import Column
from correlator.store.database import Store
from correlator.store.profiles import Id, Names

_TCP: Final = 6
_NAMES: Final = {figure.rule: figure.name for figure in FIGURES}


@click.group(short_help="What was learned of a client, hour by hour")
def baseline() -> None:
    r"""Show what was learned.

    \b
    Example:
      tunnelwatch baseline show 10.1.1.46
    """


@baseline.command(short_help="What is usual for a client, a service or a pair")
@click.argument("client", type=address, metavar="[CLIENT]", required=False)
@click.option("--server", type=endpoint, metavar="IP:PORT", help="Of the service, or of the client with it")
@click.option("--host", type=host_name, metavar="NAME", help="Of the client with this host name")
@click.option("--by", "rule", type=click.Choice(list(_NAMES)), default="out", show_default=True, help="Which figure")
@with_place
@format_options
def show(
    client: str | None, server: tuple[str, int | None] | None, host: str | None, rule: str, place: Place, form: str
) -> None:
    r"""Show what was learned for each hour of the day, on weekdays and on weekends.

    A row has how many hours were learned (those without traffic too, hours that alarmed for little), in how many there
    was something, the median, the spread around it as a factor (MAD of logarithms), and the most: what is 10 % beyond
    that is unusual. JSON has all figures at once. Times are UTC.

    \b
    Example:
      tunnelwatch baseline show 10.1.1.46
      tunnelwatch baseline show 10.1.1.46 --server 192.0.2.1:443 --by connections
      tunnelwatch baseline show --server 192.0.2.1:443 --json
    """
    if client is None and server is None:
        raise click.UsageError("whose? name a CLIENT, or a service with --server IP:PORT")
    if host is not None and (client is None or server is not None):
        raise click.UsageError("--host goes with a CLIENT, and not with --server")
    with open_store(place) as store:
        found = list(profile(store, _id(store, client, server, host), place.settings().detect))
    if form == "table":
        figure = next(figure for figure in FIGURES if figure.rule == rule)
        print_records(_rows(found, figure), form, _columns(figure), empty="nothing was learned of it yet")
    else:
        print_records(map(_record, found), form, (), names=list(_record(found[0])) if found else ["slot"])


def _id(store: Store, client: str | None, server: tuple[str, int | None] | None, host: str | None) -> Id:
    names = Names(store.conn)
    number = 0 if client is None else _known(names.client(client), f"client {client}")
    if host is not None:
        return Id(Level.NAMED, number, _known(names.host(host, _TCP), f"host {host}"), _TCP)
    if server is None:
        return Id(Level.CLIENT, number, 0, _TCP)
    ip, port = server
    if port is None:
        raise click.UsageError(f"--server {ip} lacks the port: write {endpoint_text(ip, 443)}")
    thing = _known(names.service(ip, port, _TCP), f"service {endpoint_text(ip, port)}")
    return Id(Level.SERVICE if client is None else Level.CHANNEL, number, thing, _TCP)


def _known(number: int | None, what: str) -> int:
    if number is None:
        raise UserError(f"no {what} is in the database: 'tunnelwatch clients' and 'tunnelwatch servers' list them")
    return number


def _columns(figure: Figure) -> list[Column]:
    write: Callable[[float], str] = lambda value: amount(value, figure)  # noqa: E731 - a column's writer
    return [
        Column("slot", "slot (UTC)"),
        Column("hours", "hours", lambda value: f"{value:g}", right=True),
        Column("active", "active", lambda value: f"{value:g}", right=True),
        Column("median", f"median {figure.noun}", write, right=True),
        Column("spread", "spread", lambda value: f"x {value:.2f}", right=True),
        Column("most", "most", write, right=True),
    ]


def _rows(found: list[Profiled], figure: Figure) -> Iterator[dict[str, Any]]:
    for one in found:
        usual = one.figures[figure.rule]
        yield {
            "slot": one.slot,
            "hours": usual.values,
            "active": usual.active,
            "median": usual.median,
            "spread": usual.factor if usual.active else None,
            "most": usual.most,
        }


def _record(one: Profiled) -> dict[str, Any]:
    record: dict[str, Any] = {"slot": one.slot, "hours": next(iter(one.figures.values())).values}
    for rule, usual in one.figures.items():
        name = _NAMES[rule]
        record[f"{name}_active"] = usual.active
        record[f"{name}_median"] = usual.median
        record[f"{name}_spread_factor"] = round(usual.factor, 4) if usual.active else None
        record[f"{name}_most"] = usual.most
    return record
