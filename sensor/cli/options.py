"""The options that ``read`` and ``capture`` share, tcpstatflow's letters among them, and what they build."""

from __future__ import annotations

import math
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, TypeVar

import click
import msgspec

from common.console import say
from common.errors import UserError
from common.metrics import MetricsServer
from common.notify import Notifier
from common.settings import checked_settings, load_settings
from sensor.batching import Batcher
from sensor.capture.privileges import Reach, drop_privileges, renounce_privileges, user_to_become
from sensor.config import SensorConfig, check_config
from sensor.http.exchanges import Exchanges
from sensor.inspect.ciphers import cipher_names
from sensor.output.exchanges import ExchangesFile
from sensor.output.fanout import Outputs, TextFile
from sensor.output.flowlog import FlowLogFile, open_output
from sensor.output.text import TextFormat, csv_format, ndjson_format, zeek_format
from sensor.service import NORMAL, TRACE, SensorService, make_table
from sensor.stream._streams import Streams

if TYPE_CHECKING:
    from sensor.ship.link import Shipper

F = TypeVar("F", bound=Callable[..., Any])
_SUFFIXES = {".flowlog": "flowlog", ".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".log": "zeek"}
_NS = 1_000_000_000


class _Seconds(click.FloatRange):
    """Seconds up to a year; unlike click's own range it refuses nan."""

    def __init__(self, *, above_zero: bool = False) -> None:
        super().__init__(min=0, max=31_536_000, min_open=above_zero)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return number


_SECONDS = _Seconds()
_ABOVE_ZERO = _Seconds(above_zero=True)
_COUNT = click.IntRange(0, 2**62)

config_option = click.option(
    "--config", "config_path", type=click.Path(path_type=Path, dir_okay=False), help="Settings, a TOML file."
)

_OPTIONS = (
    config_option,
    click.option("-w", "--write", "path", metavar="PATH", help="Write records here; - is standard output."),
    click.option(
        "--format", "format_name", type=click.Choice(["flowlog", "ndjson", "csv", "zeek"]),
        help="Format of the records.  [default: by PATH's suffix, else flowlog; ndjson when there is no -w]",
    ),
    click.option(
        "--community-id", is_flag=True, default=None, help="Add the column community_id to ndjson, csv or zeek."
    ),
    click.option(
        "--exchanges", "exchanges_path", metavar="PATH",
        help="Write HTTP exchanges here, a JSON object a line; - is standard output. Flows only with -w or --format.",
    ),
    click.option(
        "--http/--no-http", "http", default=None,
        help="HTTP exchanges in flow logs and to the correlator.  [default: http]",
    ),
    click.option("--ship", "endpoint", metavar="ENDPOINT", help="Ship to a correlator, e.g. tcp://127.0.0.1:5690."),
    click.option("--spool", metavar="DIR", help="Keep shipped records here until the correlator has stored them."),
    click.option("--plaintext", is_flag=True, default=None, help="No encryption: only on loopback and ipc."),
    click.option("--key", metavar="PATH", help="This sensor's key pair; see keygen."),
    click.option("--correlator-key", metavar="KEY", help="The correlator's public key, or a file that holds it."),
    click.option("--sensor", "name", metavar="NAME", help="This sensor's name.  [default: the host's]"),
    click.option("--active-timeout", type=_SECONDS, metavar="S", help="Record open flows every S seconds; 0 = off."),
    click.option("--home", multiple=True, metavar="NET", help="Your network: its side is the client. Repeatable."),
    click.option(
        "--inspect/--no-inspect", "inspect", default=None, help="Tell what connections carry.  [default: inspect]"
    ),
    click.option("--filter", "filter_option", metavar="EXPRESSION", help="The filter, instead of trailing words."),
    click.option("-f", "tcp_timeout", type=_ABOVE_ZERO, metavar="S", help="TCP timeout in seconds.  [default: 7200]"),
    click.option("-t", "interval", type=_SECONDS, metavar="S", help="Statistics every S seconds; 0 = only at the end."),
    click.option("--metrics", metavar="ADDRESS:PORT", help="Counters for Prometheus, e.g. on 127.0.0.1:9464."),
    click.option("-x", "alarm_bytes", type=_COUNT, metavar="BYTES", help="Alarm: a flow's bytes, in and out."),
    click.option("-y", "alarm_duration", type=_SECONDS, metavar="S", help="Alarm: a flow's duration in seconds."),
    click.option("-z", "alarm_packets", type=_COUNT, metavar="PACKETS", help="Alarm: a flow's packets."),
    click.option("-d", "level", type=_COUNT, default=NORMAL, show_default=True, help="Debug level; 0 is silent."),
    click.option("-v", "verbose", is_flag=True, help="Trace every flow and packet, as -d 10."),
    click.option(
        "-u", "user", metavar="USER",
        help="As root: become USER once everything is open.  [default: nobody; root stays root]",
    ),
)  # fmt: skip


def shared_options(command: F) -> F:
    """Add the shared options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Run(NamedTuple):
    """What a command works with."""

    service: SensorService
    outputs: Outputs
    notifier: Notifier
    endpoint: str
    metrics: MetricsServer

    def give_up_root(self, user: str | None, *, keep_capturing: bool = False) -> None:
        """Become the user, now that everything is open, for good; serve metrics from then on."""
        if user is not None:
            reach = Reach(self.outputs.spool_paths(), self.outputs.spool_directory(), self.endpoint)
            drop_privileges(user, reach, keep_capturing=keep_capturing)
        # Its threads are to have what is left, and nothing more.
        self.service.serve_metrics(self.metrics)

    def close(self) -> None:
        """Close the outputs, the metrics and the way to the service manager."""
        self.metrics.close()
        self.notifier.close()
        self.outputs.close()


def user_to_run_as(options: dict[str, Any]) -> str | None:
    """Return whom root is to become, and give up what only later programs and threads could use: call it early."""
    user = user_to_become(options.get("user"))
    if user is not None and os.geteuid() == 0:
        cipher_names()  # imports what that user may have no way to
        renounce_privileges()
    elif os.geteuid() == 0 and (options["verbose"] or options["level"] >= NORMAL):
        say("running as root, as -u says: whoever gets at the parser with a packet has all of this host")
    return user


def make_run(options: dict[str, Any], config: SensorConfig, inputs: Sequence[str] = ()) -> Run:
    """Build a run of the sensor from the shared options; what can be checked is, before a file is written over."""
    exchanges_path = options.get("exchanges_path")
    _refuse_overwriting(options["path"], inputs)
    level = TRACE if options["verbose"] else options["level"]
    only_others = bool(config.ship.endpoint or exchanges_path)
    format_name = _format_name(options["path"], options["format_name"], only_others=only_others)
    if exchanges_path is not None:
        _check_exchanges(options, config, inputs, flows_too=format_name is not None)
    if options.get("community_id") and format_name in (None, "flowlog"):
        raise UserError("a flow log has no column for a community ID; add --format ndjson, csv or zeek")
    if format_name == "zeek":
        if config.ship.endpoint:
            raise UserError(
                "conn.log has one line a connection and a correlator wants a record of open ones too; "
                "write a flow log or ndjson here, or leave --ship out"
            )
        # conn.log has one line a connection.
        config = _replaced(config, "flow", active_timeout_s=0)
    metrics = MetricsServer(config.metrics.bind)
    run = time.time_ns()
    wanted = config.http.exchanges and (format_name == "flowlog" or only_others)
    table = make_table(config, run, trace=level >= TRACE, streams=Streams(http=True) if wanted else None)
    batcher = Batcher(config.name, run, int(config.log.flush_s * _NS))
    shipper = _shipper(config, batcher, run) if config.ship.endpoint else None
    path = options["path"] or "-"
    log = text = exchanges_file = None
    try:
        if format_name == "flowlog":
            log = FlowLogFile(path, batcher.header(run))
        elif format_name:
            text = TextFile(path, open_output(path), _text_format(format_name, config))
        if exchanges_path is not None:
            exchanges_file = ExchangesFile(exchanges_path, open_output(exchanges_path), config.name)
    except BrokenPipeError:
        # Nobody reads it, but there is a correlator to ship to.
        if shipper is None:
            raise
    outputs = Outputs(batcher, log, text, shipper, exchanges_file)
    notifier = Notifier()
    http = config.http
    exchanges = Exchanges(uri_bytes=http.uri_bytes, max_connections=http.max_connections) if wanted else None
    service = SensorService(config, table, outputs, level, notifier, exchanges)
    return Run(service, outputs, notifier, config.ship.endpoint, metrics)


def _check_exchanges(options: dict[str, Any], config: SensorConfig, inputs: Sequence[str], *, flows_too: bool) -> None:
    """Refuse an output for HTTP exchanges that there are none for, or that something else has."""
    path = options["exchanges_path"]
    if not config.http.exchanges:
        raise UserError("--exchanges wants HTTP exchanges, and [http] exchanges or --no-http says that there are none")
    _refuse_overwriting(path, inputs)
    flows_path = options["path"] or "-"
    if flows_too and (path == flows_path or Path(path).absolute() == Path(flows_path).absolute()):
        raise UserError(f"flows and HTTP exchanges would both go to {path}; give another path with -w or --exchanges")


def _refuse_overwriting(path: str | None, inputs: Sequence[str]) -> None:
    """Refuse an output that is one of the inputs, whatever they are called."""
    target = _regular_file(path or "-", sys.stdout)
    for name in inputs:
        if target is not None and target == _regular_file(name, sys.stdin):
            raise UserError(f"{path or '-'} is read and written at once ({name}); give another path with -w")


def _regular_file(name: str, standard: TextIO | None) -> tuple[int, int] | None:
    """Return what tells a regular file from every other, or None where there is none."""
    try:
        found = (os.fstat(standard.fileno()) if standard else None) if name == "-" else Path(name).stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if found and stat.S_ISREG(found.st_mode) else None


def effective_config(options: dict[str, Any]) -> SensorConfig:
    """Return the settings: defaults, then the file, then the command line."""
    config = load_settings(options.get("config_path"), SensorConfig)
    changes: dict[str, dict[str, Any]] = {
        "flow": {
            "active_timeout_s": options.get("active_timeout"),
            "tcp_timeout_s": options.get("tcp_timeout"),
            "home": tuple(options.get("home") or ()) or None,
        },
        "inspect": {"enabled": options.get("inspect")},
        "http": {"exchanges": options.get("http")},
        "alarm": {
            "bytes": options.get("alarm_bytes"),
            "duration_s": options.get("alarm_duration"),
            "packets": options.get("alarm_packets"),
        },
        "statistics": {"interval_s": options.get("interval")},
        "log": {"community_id": options.get("community_id")},
        "metrics": {"bind": options.get("metrics")},
        "ship": {
            "endpoint": options.get("endpoint"),
            "spool": options.get("spool"),
            "plaintext": options.get("plaintext"),
            "key": options.get("key"),
            "correlator_key": options.get("correlator_key"),
        },
        "capture": {
            "promiscuous": options.get("promiscuous"),
            "snap_length_bytes": options.get("snap_length"),
            "buffer_bytes": options.get("buffer_bytes"),
        },
    }
    for section, values in changes.items():
        config = _replaced(config, section, **{key: value for key, value in values.items() if value is not None})
    if options.get("name") is not None:
        config = msgspec.structs.replace(config, name=options["name"])
    # What the command line put in is checked as a file's values are.
    config = checked_settings(msgspec.to_builtins(config), SensorConfig, "the command line")
    check_config(config)
    return config


def one_filter(words: str, option: str | None) -> str:
    """Return the filter, which is either trailing words or --filter."""
    if words and option:
        raise UserError(f"two filters: {words!r} and --filter {option!r}; give one")
    return words or option or ""


def _replaced(config: SensorConfig, section: str, **values: Any) -> SensorConfig:
    part = msgspec.structs.replace(getattr(config, section), **values)
    return msgspec.structs.replace(config, **{section: part})


def _format_name(path: str | None, given: str | None, *, only_others: bool) -> str | None:
    if path is None:
        if given is None:
            return None if only_others else "ndjson"
        path = "-"
    if path == "-" and given in (None, "flowlog") and sys.stdout is not None and sys.stdout.isatty():
        raise UserError("a flow log is binary and standard output is a terminal; add --format ndjson, or -w PATH")
    return given or _SUFFIXES.get(Path(path).suffix, "flowlog")


def _text_format(name: str, config: SensorConfig) -> TextFormat:
    extra = None
    if config.log.community_id:
        from common.communityid import community_id  # noqa: PLC0415 - hashlib is slow to import

        extra = partial(community_id, seed=config.log.community_id_seed)
    if name == "zeek":
        return zeek_format(time.time_ns, config.flow.home, extra)
    return csv_format(config.name, extra) if name == "csv" else ndjson_format(config.name, extra)


def _shipper(config: SensorConfig, batcher: Batcher, run: int) -> Shipper:
    from sensor.ship.link import Shipper  # noqa: PLC0415 - ZeroMQ takes as long to import as a small capture to read
    from sensor.ship.spool import Policy, Spool  # noqa: PLC0415 - as above

    directory = Path(config.ship.spool) if config.ship.spool else _default_spool(config.name)
    ship = config.ship
    policy = Policy(int(ship.spool_max_age_s * _NS), ship.fsync, int(ship.fsync_interval_s * _NS))
    spool = Spool(directory, run, batcher.header(run), ship.spool_max_bytes, ship.segment_bytes, policy)
    return Shipper(ship, spool)


def _default_spool(name: str) -> Path:
    safe = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
    if os.geteuid() == 0:
        return Path("/var/lib/tunnelwatch/spool") / safe
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "tunnelwatch/spool" / safe
