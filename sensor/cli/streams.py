"""``tunnelwatch-sensor streams``: each direction of each TCP connection into a file, as tcpflow does."""

from __future__ import annotations

import os
import pwd
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import click

from common import __version__
from common.console import say
from common.errors import UserError
from sensor.capture.inputs import OpenInputs
from sensor.capture.live import LiveSource
from sensor.capture.pcapfile import check_capture
from sensor.capture.privileges import Reach, drop_privileges
from sensor.cli.options import one_filter, user_to_run_as
from sensor.cli.read import split_words
from sensor.config import CaptureConfig
from sensor.service import NORMAL
from sensor.stream._streams import Streams
from sensor.stream.live import live_batches
from sensor.stream.reading import batches, left_out
from sensor.streams.console import Console, Options, in_base64, json_form, strip, text_form
from sensor.streams.files import OutputFiles, make_directory
from sensor.streams.httpbody import Bodies
from sensor.streams.names import Template, template_for
from sensor.streams.recorder import MAX_GAP_BYTES, Limits, Recorder
from sensor.streams.report import DfxmlReport, FileId, Index, Run
from sensor.streams.run import Lists, Recording, Showing, Stop, Taker, account, run

# Descriptors for everything else: inputs being read, reports, the interpreter's own.
_RESERVE = 64
_MAX_OPEN = 4096
_COUNT = click.IntRange(0, 2**62)
_FLAGS = "ctTXMkmg"

_OPTIONS = (
    click.option("-r", "--read", "files", multiple=True, metavar="FILE", help="Read this capture. Repeatable."),
    click.option(
        "-i", "--interface", "interfaces", multiple=True, metavar="IFACE",
        help="Record this interface until a signal ends it; any is all of them. Repeatable.",
    ),
    click.option("-p", "promiscuous", flag_value=False, default=True, help="Do not use promiscuous mode."),
    click.option("-l", "only_files", is_flag=True, help="All words are files, none of them a filter."),
    click.option("--filter", "filter_option", metavar="EXPRESSION", help="The filter, instead of trailing words."),
    click.option("-o", "directory", metavar="DIR", default=".", show_default=True, help="Write files here."),
    click.option("-T", "template", metavar="TEMPLATE", help="Names of files.  [default: %A.%a-%B.%b%V%v%C%c]"),
    click.option(
        "-F", "flags", multiple=True, metavar="[ctTXMkmg]",
        help="c counter in all names, t/T time before them, k/m/g directories of 1000 files, X no files, M MD5 sums.",
    ),
    click.option("-b", "file_bytes", type=_COUNT, default=0, metavar="N", help="At most N bytes of a direction."),
    click.option(
        "-m", "gap_bytes", type=_COUNT, default=MAX_GAP_BYTES, show_default=True, metavar="N",
        help="A new file where more than N bytes were not seen; fewer are zeros.",
    ),
    click.option("-f", "max_open", type=click.IntRange(1, 2**20), metavar="N", help="At most N files open at once."),
    click.option("-s", "stripped", is_flag=True, help="Dots for what is not printable, in files too."),
    click.option("-c", "console", is_flag=True, help="Print to standard output, with names; no files."),
    click.option("-C", "bare", is_flag=True, help="The same without names."),
    click.option("-0", "no_newline", is_flag=True, help="No line feed after what is printed."),
    click.option("-B", "binary", is_flag=True, help="Print bytes as they are, whatever they do to a terminal."),
    click.option("-D", "hexadecimal", is_flag=True, help="Print a hexadecimal dump."),
    click.option("-g", "colours", is_flag=True, help="Print in colours: client blue, server red."),
    click.option("-J", "json", is_flag=True, help="Print a JSON object a line."),
    click.option(
        "--payload", type=click.Choice(["numbers", "base64"]), default="numbers", show_default=True,
        help="How -J writes bytes.",
    ),
    click.option("-X", "report", metavar="FILE", help="The DFXML report.  [default: report.xml in DIR; none with -c]"),
    click.option("--index", metavar="FILE", help="A JSON object a line for each file, with its MD5 sum."),
    click.option(
        "-e", "scanners", multiple=True, type=click.Choice(["http", "md5", "all"]),
        help="http: bodies of HTTP messages beside the files; md5: sums in the report, as -FM. Repeatable.",
    ),
    click.option("-a", "all_scanners", is_flag=True, help="As -e all."),
    click.option("-Z", "packed", is_flag=True, help="Leave compressed HTTP bodies as they are."),
    click.option("-d", "level", type=_COUNT, default=1, show_default=True, help="Debug level; 0 is silent."),
    click.option("-q", "quiet", is_flag=True, help="Say nothing but errors."),
    click.option(
        "-u", "-U", "user", metavar="USER",
        help="As root: become USER once everything is open.  [default: nobody; root stays root]",
    ),
)  # fmt: skip


def _with_options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("words", nargs=-1, metavar="[FILE]... [FILTER]...")
@_with_options
@click.pass_context
def streams(context: click.Context, /, words: tuple[str, ...], **options: Any) -> None:
    r"""Write each direction of each TCP connection of captures (- is standard input) or interfaces to a file.

    The letters are tcpflow's. Words after the last FILE are a filter as for tcpdump; with -r or -i all are. Files that
    are there are kept: a new one gets a counter. Started as root, it opens what it reads and goes on as nobody, to whom
    it gives DIR if it makes it; -u names another user.

    \b
    Examples:
      tunnelwatch-sensor streams trace.pcap -o out
      tunnelwatch-sensor streams -r trace.pcap -o out -FM --index out.ndjson port 80
      tunnelwatch-sensor streams -c -g trace.pcap host 10.1.1.9
      tunnelwatch-sensor streams -J trace.pcap | jq -r .src_host
      tunnelwatch-sensor streams -i eth0 -c port 25
    """
    files, expression = _inputs(words, options)
    wanted = _wanted(options)
    stop = Stop()
    source = Streams(apart=wanted.prints)
    with stop.signals(), ExitStack() as opened:
        if files:
            check_capture(files[0], expression)
        else:
            config = CaptureConfig(promiscuous=options["promiscuous"])
            live = opened.enter_context(closing(LiveSource(options["interfaces"], expression, config)))
        user = user_to_run_as({"user": options["user"], "verbose": False, "level": NORMAL if wanted.talks else 0})
        if files:
            inputs = opened.enter_context(closing(OpenInputs(files if user is not None else [])))
            events = stop.until_asked(batches(files, expression, source, inputs.open))
        else:
            events = live_batches(live, source, lambda: stop.asked, say if wanted.talks else _silent)
        takers = _takers(wanted, options, files, user)
        if not files and wanted.talks:
            say(f"listening on {live.interface}")
        try:
            run(events, takers)
        finally:
            if wanted.talks:
                say(account(takers))
            if line := left_out(source):
                say(line)
    if stop.asked and files:
        say("stopped by a signal; what was read until then counts")
        context.exit(1)


def _silent(_line: str) -> None:
    """Say nothing."""


class _Wanted(NamedTuple):
    """What the options ask for together."""

    template: Template
    prints: bool
    writes: bool
    digest: bool
    bodies: bool
    report_path: Path | None
    index_path: Path | None
    talks: bool


def _inputs(words: tuple[str, ...], options: dict[str, Any]) -> tuple[list[str], str]:
    """Return (files, filter expression)."""
    files, rest = [*options["files"]], words
    expression = ""
    if options["only_files"]:
        files, rest = [*files, *words], ()
    if files and options["interfaces"]:
        raise click.UsageError("an interface and a file at once; give -i or FILE")
    if files or options["interfaces"]:
        expression = " ".join(rest)
    elif words:
        files, expression = split_words(words)
    else:
        raise click.UsageError("no capture to read: name a FILE, - for standard input, or an interface with -i")
    return files, one_filter(expression, options["filter_option"])


def _wanted(options: dict[str, Any]) -> _Wanted:
    """Check the options against one another."""
    flags = "".join(options["flags"])
    if unknown := [flag for flag in flags if flag not in _FLAGS]:
        raise click.UsageError(f"-F knows no {unknown[0]!r}; it knows {_FLAGS}")
    prints = any(options[name] for name in ("console", "bare", "hexadecimal", "json"))
    for name, letter in (("no_newline", "-0"), ("binary", "-B"), ("colours", "-g")):
        if options[name] and not prints:
            raise click.UsageError(f"{letter} is about what is printed; add -c or -C")
    if options["json"] and (options["hexadecimal"] or options["binary"]):
        raise click.UsageError("-J prints JSON, and neither -D nor -B; give one of them")
    report = options["report"]
    if report is None and not prints:
        report = Path(options["directory"], "report.xml")
    index = options["index"]
    scanners = {"http", "md5"} if options["all_scanners"] or "all" in options["scanners"] else {*options["scanners"]}
    writes = not prints and "X" not in flags
    if "http" in options["scanners"] and not writes:
        raise click.UsageError("-e http writes files, and none are wanted here; leave it out")
    return _Wanted(
        template_for(flags, options["template"]),
        prints,
        writes,
        "M" in flags or "md5" in scanners or index is not None,
        writes and "http" in scanners,
        None if report is None else Path(report),
        None if index is None else Path(index),
        options["level"] > 0 and not options["quiet"],
    )


def _takers(wanted: _Wanted, options: dict[str, Any], inputs: Sequence[str], user: str | None) -> list[Taker]:
    """Open everything that is written, become the user, and return who takes the events."""
    takers: list[Taker] = [Showing(_console(wanted, options))] if wanted.prints else []
    with ExitStack() as opened:
        directory = Path(options["directory"])
        made = not wanted.prints and make_directory(directory)
        files = None
        if wanted.writes:
            files = OutputFiles(directory, _room_for_files(options["max_open"], len(inputs)))
            opened.callback(files.close)
        bodies = Bodies(files, decode=not options["packed"], digest=wanted.digest) if files and wanted.bodies else None
        named = [_identity(name) for name in inputs]
        known = [identity for identity in named if identity is not None]
        report = DfxmlReport(wanted.report_path, _this_run(), directory, known) if wanted.report_path else None
        index = Index(wanted.index_path, known) if wanted.index_path else None
        if user is not None:
            _become(user, directory if wanted.writes else None, made=made, keep_capturing=not inputs)
        opened.pop_all()
    if files is not None or report is not None or index is not None:
        limits = Limits(options["file_bytes"], options["gap_bytes"])
        change = strip if options["stripped"] and not wanted.prints else None
        lists = Lists(report, index, bodies)
        recorder = Recorder(
            files, wanted.template, lists.add, limits=limits, digest=wanted.digest, change=change, contents=bodies
        )
        takers.append(Recording(recorder, files, lists))
    return takers


def _become(user: str, directory: Path | None, *, made: bool, keep_capturing: bool) -> None:
    """Become the user, who has to be able to write to the directory: it is handed over when it was made here."""
    own = [directory] if directory is not None and made else []
    drop_privileges(user, Reach(own), keep_capturing=keep_capturing)
    if directory is not None and not os.access(directory, os.W_OK | os.X_OK):
        raise UserError(
            f"{user} may not write to {directory}; give a directory with -o that is not there yet, "
            f"run chown {user} {directory}, or stay root with -u root"
        )


def _console(wanted: _Wanted, options: dict[str, Any]) -> Console:
    if options["json"]:
        form = json_form(in_base64 if options["payload"] == "base64" else list)
    else:
        header = not options["bare"]
        form = text_form(
            Options(header, options["binary"], options["hexadecimal"], options["colours"], not options["no_newline"])
        )
    return Console(form, wanted.template, options["file_bytes"])


def _room_for_files(asked: int | None, inputs: int) -> int:
    """Return how many files may be open; the limit of the process is raised where it has to be and can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reserve = _RESERVE + inputs
    most = _MAX_OPEN if soft == resource.RLIM_INFINITY else soft - reserve
    if asked is None:
        return max(min(most, _MAX_OPEN), 1)
    if asked > most and soft != resource.RLIM_INFINITY:
        if hard != resource.RLIM_INFINITY and asked + reserve > hard:
            raise UserError(f"-f {asked} is more than the {hard - reserve} files that may be open here (ulimit -Hn)")
        resource.setrlimit(resource.RLIMIT_NOFILE, (asked + reserve, hard))
    return asked


def _identity(name: str) -> FileId | None:
    """Return what tells an input from every other file."""
    try:
        found = os.fstat(sys.stdin.fileno()) if name == "-" else os.stat(name)  # noqa: PTH116 - as os.fstat
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _this_run() -> Run:
    system = os.uname()
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = ""
    facts = {name: getattr(system, name) for name in ("sysname", "release", "version", "nodename", "machine")}
    command = ["tunnelwatch-sensor", *sys.argv[1:]]
    return Run("tunnelwatch-sensor", __version__, command, os.geteuid(), user, time.time_ns(), facts)
