"""``sensors``: who sends, and how well; whose keys may speak."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from common.console import say
from common.errors import UserError
from common.keys import read_public_key
from common.timespan import NS_PER_S, iso_time
from correlator.cli.options import Place, built_by, format_options, open_store, with_place
from correlator.cli.output import print_records
from correlator.config import SensorLimits
from correlator.detect.sensors import OK, RETIRED, drop_percent, state_of
from correlator.render.table import Column, human_bytes, human_count, human_duration, human_time
from correlator.rows import SensorRow
from correlator.store import sensors as stored
from correlator.store.database import writing
from correlator.store.keys import add_key, keys, revoke_keys

_COLUMNS: Final = (
    Column("sensor", "sensor"),
    Column("state", "state"),
    Column("last_contact", "last contact (UTC)", human_time),
    Column("contact_age_s", "ago", human_duration, right=True),
    Column("lag", "lag", right=True),
    Column("spool_bytes", "spool", human_bytes, right=True),
    Column("drop_percent", "drops", lambda share: f"{share:g}%", right=True),
    Column("records_stored", "records", human_count, right=True),
    Column("records_refused", "refused", human_count, right=True, spare=True),
    Column("frames_missing", "frames missing", human_count, right=True, spare=True),
    Column("flows_open", "flows open", human_count, right=True, spare=True),
    Column("version", "version", spare=True),
    Column("source", "source", spare=True),
)
_KEY_COLUMNS: Final = (
    Column("sensor", "sensor"),
    Column("public_key", "public key"),
    Column("added", "added (UTC)", human_time),
    Column("revoked", "revoked (UTC)", human_time),
)


@click.group(invoke_without_command=True, short_help="Who sends, and how well: list, retire; whose keys may speak")
@with_place
@format_options
@click.pass_context
def sensors(ctx: click.Context, /, place: Place, form: str) -> None:
    r"""Show every sensor, and every name that files were imported under.

    \b
    Example:
      tunnelwatch sensors
      tunnelwatch sensors --json
      tunnelwatch sensors add tap-1 'yFa3...'
      tunnelwatch sensors retire tap-2
    """
    if ctx.invoked_subcommand is None:
        _show(place, form)
    elif form != "table":
        raise click.UsageError(f"--{form} is for the list, not for '{ctx.invoked_subcommand}'")


@sensors.command(short_help="Expect nothing of a sensor any more")
@click.argument("name")
@with_place
def retire(name: str, place: Place) -> None:
    r"""Raise no alarm about a sensor's silence any more; when it speaks again, it is back by itself.

    \b
    Example:
      tunnelwatch sensors retire tap-2
    """
    with open_store(place) as store:
        known = [row.sensor for row in stored.sensors(store.conn)]
    if name not in known:
        raise UserError(f"no sensor {name!r}: 'tunnelwatch sensors' lists them")
    with writing(place.db, built_by(place.settings())) as store:
        stored.retire(store.conn, name, time.time_ns())
    say(f"retired {name}")


def _show(place: Place, form: str) -> None:
    limits = place.settings().sensors
    with open_store(place) as store:
        rows = [sensor_record(row, limits, time.time_ns()) for row in stored.sensors(store.conn)]
    if form == "table":
        rows = [{**(row["stats"] or {}), **row, "lag": _lag_text(row)} for row in rows]
    print_records(rows, form, _COLUMNS)


@sensors.command(short_help="Let a key speak for a sensor")
@click.argument("name", metavar="NAME")
@click.argument("public_key", metavar="PUBLICKEY")
@with_place
def add(name: str, public_key: str, place: Place) -> None:
    r"""Let a key speak for the sensor NAME, and for no other; a running serve notices.

    'tunnelwatch-sensor keygen' prints the key. A sensor may have several, the old one and the new one say.

    \b
    Example:
      tunnelwatch sensors add tap-1 'yFa3...'
    """
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise click.BadParameter("a name has 1 to 255 printable characters", param_hint="NAME")
    key = read_public_key(public_key, "tunnelwatch-sensor keygen")
    with writing(place.db, built_by(place.settings())) as store:
        added = add_key(store.conn, name, key, time.time_ns())
    say(f"{name} may speak with {key}" + ("" if added else " already"))


@sensors.command(name="list", short_help="The keys, and whose they are")
@with_place
@format_options
def list_(place: Place, form: str) -> None:
    r"""Show every key that may speak, or could until it was revoked.

    \b
    Example:
      tunnelwatch sensors list
      tunnelwatch sensors list --json
    """
    with open_store(place) as store:
        rows = [
            {
                "sensor": row.sensor,
                "public_key": row.public_key,
                "added": iso_time(row.added_ns),
                "revoked": None if row.revoked_ns is None else iso_time(row.revoked_ns),
            }
            for row in keys(store.conn)
        ]
    print_records(rows, form, _KEY_COLUMNS, empty="no keys; 'tunnelwatch sensors add NAME PUBLICKEY' adds one")


@sensors.command(short_help="Let a key, or all keys of a sensor, speak no more")
@click.argument("which", metavar="NAME|PUBLICKEY")
@with_place
def revoke(which: str, place: Place) -> None:
    r"""Let a key, or all keys of a sensor, speak no more; a running serve notices.

    What a connection of it still sends is dropped. What was stored stays.

    \b
    Example:
      tunnelwatch sensors revoke tap-1
    """
    with writing(place.db, built_by(place.settings())) as store:
        revoked = revoke_keys(store.conn, which, time.time_ns())
        able = {row.sensor for row in keys(store.conn) if row.revoked_ns is None}
        for sensor in {row.sensor for row in revoked} - able:
            stored.retire(store.conn, sensor, time.time_ns())  # nobody misses it
    if not revoked:
        raise UserError(
            f"{which!r} is no key that may speak and no sensor with one: 'tunnelwatch sensors list' shows all"
        )
    for row in revoked:
        say(f"{row.sensor} may not speak with {row.public_key} any more")


def sensor_record(row: SensorRow, limits: SensorLimits, now_ns: int) -> dict[str, Any]:
    """Return a sensor as the JSON object that the command line prints."""
    plain = row._asdict()
    stats, account = plain.pop("stats"), plain.pop("account")
    for name in ("first_contact", "last_contact", "link_contact", "retired"):
        time_ns = plain.pop(f"{name}_ns")
        plain[name] = None if time_ns is None else iso_time(time_ns)
    shown = None
    if stats is not None:
        left_out = ("time_ns", "version", "source")
        shown = {"time": iso_time(stats.time_ns)}
        shown |= {name: value for name, value in stats._asdict().items() if name not in left_out}
    offset_ns = account.clock_offset_ns if account else None
    return {
        **plain,
        "state": _state(row, limits, now_ns),
        "contact_age_s": max(0, now_ns - row.last_contact_ns) // NS_PER_S,
        "lag_s": stats._asdict().get("spool_lag_s") if stats else None,
        "frames_waiting": stats.frames_unacknowledged if stats else None,
        "spool_bytes": stats.spool_bytes if stats else None,
        "drop_percent": round(drop_percent(account), 3) if account else None,
        "clock_offset_s": None if offset_ns is None else round(offset_ns / NS_PER_S, 3),
        "stats": shown,
    }


def _state(row: SensorRow, limits: SensorLimits, now_ns: int) -> str:
    if row.retired_ns is not None:
        return RETIRED
    if row.link_contact_ns is None:
        return OK  # only files were imported under this name
    watched = row.stats is None or row.stats.heartbeat_s > 0
    return state_of(limits, row.account, row.link_contact_ns, now_ns, watched=watched)


def _lag_text(row: dict[str, Any]) -> str | None:
    """Return for how long the oldest frame has waited on the sensor, or how many wait where it does not say."""
    if row["frames_waiting"] is None:
        return None
    if row["lag_s"] is not None:
        return human_duration(row["lag_s"])
    return "1 frame" if row["frames_waiting"] == 1 else f"{row['frames_waiting']} frames"
