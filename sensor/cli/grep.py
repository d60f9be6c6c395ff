"""``tunnelwatch-sensor grep``: signatures looked for in streams, with flowgrep's letters."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import click

from common.console import printable, say, version_option
from common.errors import UserError
from sensor.capture.inputs import OpenInputs
from sensor.capture.live import LiveSource
from sensor.capture.pcapfile import Opener, check_capture
from sensor.capture.privileges import Reach, drop_privileges, renounce_privileges, user_to_become
from sensor.config import CaptureConfig
from sensor.grep import Grep, Report, Settings
from sensor.match.patterns import ANY, Pattern, check_number, compile_pattern, patterns_of_file
from sensor.match.rules import read_rules
from sensor.match.stream import MAX_CONTEXT_BYTES, Match, Stopwatch
from sensor.output.matches import Context, match_json, match_line, unmatched_json, unmatched_line
from sensor.output.payloads import PayloadFiles
from sensor.stream._streams import Streams
from sensor.stream.events import Began, Event
from sensor.stream.live import live_batches
from sensor.stream.reading import batches, left_out
from sensor.streams.run import Stop

_FOUND, _NONE, _ERROR = 0, 1, 2
_MAX_LINES = 100
_MAX_FILE_BYTES = 64 << 20
_TICK_S = 1.0
_STARTER = "starter"


class _Around(click.ParamType[Any]):
    """So much context: 3 lines, or 64b for bytes."""

    name = "NUM[b]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, bool]:
        match = re.fullmatch(r"([0-9]{1,9})(b?)", str(value))
        most = MAX_CONTEXT_BYTES if match and match[2] else _MAX_LINES
        if match is None or int(match[1]) > most:
            self.fail(
                f"{value!r} is no context: up to {_MAX_LINES} lines (3) or {MAX_CONTEXT_BYTES} bytes (64b)", param, ctx
            )
        return int(match[1]), not match[2]


@click.command()
@click.option(
    "-a", "any_side", multiple=True, metavar="PATTERN", help="Match either side's stream. Repeatable, as are -c and -s."
)
@click.option("-c", "client", multiple=True, metavar="PATTERN", help="Match the client's stream.")
@click.option("-s", "server", multiple=True, metavar="PATTERN", help="Match the server's stream.")
@click.option("-f", "client_files", multiple=True, metavar="FILE", help="Client patterns from FILE, one a line.")
@click.option("-F", "server_files", multiple=True, metavar="FILE", help="Server patterns from FILE, one a line.")
@click.option(
    "-R", "--rules", "rule_files", multiple=True, metavar="FILE", help="Named rules, a TOML file; starter is ours."
)
@click.option("-i", "ignore_case", is_flag=True, help="Ignore case.")
@click.option("-v", "invert", is_flag=True, help="Select flows without a match; each is told when it ends.")
@click.option("-r", "inputs", multiple=True, metavar="FILE", help="Read this capture; - is standard input. Repeatable.")
@click.option("-l", "directory", metavar="DIR", help="Write the payload of matched flows to files in DIR.")
@click.option(
    "-x", "names_only", is_flag=True, help="Print the names of these files and nothing else, for xargs.  [-l .]"
)
@click.option("-A", "after", type=_Around(), metavar="NUM[b]", help="Show NUM lines after each match; 64b is 64 bytes.")
@click.option("-B", "before", type=_Around(), metavar="NUM[b]", help="Show NUM lines, or bytes, before each match.")
@click.option("-C", "both", type=_Around(), metavar="NUM[b]", help="Show NUM lines, or bytes, around each match.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a match, one a line.")
@click.option("-u", "user", metavar="USER", help="As root: become USER once everything is open.  [default: nobody]")
@click.option("-k", "kill", is_flag=True, help="Kill matched TCP streams: not done yet, refused.")
@click.option(
    "-d", "devices", multiple=True, metavar="DEVICE", help="Search an interface until a signal ends it. Repeatable."
)
@version_option("tunnelwatch-sensor")
@click.argument("words", nargs=-1, metavar="[FILTER...]")
@click.pass_context
def grep(context: click.Context, /, words: tuple[str, ...], **options: Any) -> None:
    r"""Look for patterns (regular expressions over bytes, as Python's re has them) in what flows carry.

    TCP is searched as streams: a match may lie in several packets, and -c and -s tell its sides apart. Over UDP and
    IP each payload stands for itself and all patterns are looked for. The words at the end are a filter as for tcpdump.
    Exit code 0: found; 1: nothing found; 2: an error.

    \b
    Examples:
      tunnelwatch-sensor grep -r trace.pcap -a 'SSH-[12]\.' not port 22
      tunnelwatch-sensor grep -r trace.pcap --rules starter --json
      tunnelwatch-sensor grep -r trace.pcap -c '^CONNECT ' -C 3
      tunnelwatch-sensor grep -r trace.pcap -s 'uid=0\(root\)' -l flows -x | xargs ls -l
      tcpdump -w - | tunnelwatch-sensor grep -r - -v -c '^(GET|POST) ' tcp port 80
      tunnelwatch-sensor grep -d eth0 --rules starter --json
    """
    try:
        context.exit(_grep(options, " ".join(words)))
    except UserError as error:
        error.exit_code = _ERROR
        raise
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is not None:
            raise
        failure = UserError(f"cannot write to standard output: {error.strerror}; make room or redirect it")
        failure.exit_code = _ERROR
        raise failure from None


def _grep(options: dict[str, Any], expression: str) -> int:
    _refuse(options)
    patterns = _patterns(options)
    directory = options["directory"] or ("." if options["names_only"] else None)
    streams = Streams(datagrams=True)
    watch = Stopwatch()
    stop = Stop()
    failure: UserError | None = None
    with ExitStack() as opened:
        events = _opened(opened, stop, options, expression, streams)
        user = user_to_become(options["user"])
        inputs = opened.enter_context(closing(OpenInputs(options["inputs"] if user is not None else [])))
        if user is not None and os.geteuid() == 0:
            renounce_privileges()
        files = PayloadFiles(directory) if directory is not None else None
        if files is not None:
            opened.callback(files.close)
        if user is not None:
            _give_up_root(user, directory, files, keep_capturing=bool(options["devices"]))
        run = Grep(patterns, _report(options, sys.stdout.write), _settings(options), files=files, stopwatch=watch)
        with _ticking(watch):
            try:
                for batch in events(inputs.open):
                    run.take(batch)
                    sys.stdout.flush()
            except UserError as error:
                failure = error
            run.finish()
    _say_what_was_left_out(run, files)
    if line := left_out(streams):
        say(line)
    if failure is not None:
        raise failure
    return _FOUND if run.selected else _NONE


def _opened(
    opened: ExitStack, stop: Stop, options: dict[str, Any], expression: str, streams: Streams
) -> Callable[[Opener], Iterator[list[Event]]]:
    """Return what gives the events of the captures or interfaces; these are open from now on."""
    inputs = options["inputs"]
    if not options["devices"]:
        for name in inputs:
            check_capture(name, expression)
        return lambda opener: batches(inputs, expression, streams, opener)
    live = opened.enter_context(closing(LiveSource(options["devices"], expression, CaptureConfig())))
    opened.enter_context(stop.signals())

    def listening(_opener: Opener) -> Iterator[list[Event]]:
        say(f"listening on {live.interface}")
        return live_batches(live, streams, lambda: stop.asked, say)

    return listening


def _refuse(options: dict[str, Any]) -> None:
    if options["kill"]:
        raise UserError("-k cannot kill streams yet; leave it out")
    if options["devices"] and options["inputs"]:
        raise UserError("an interface and a file at once; give -d or -r")
    if not options["inputs"] and not options["devices"]:
        raise UserError("nothing to search; give a capture with -r FILE, - for standard input, or an interface with -d")
    if options["names_only"] and options["as_json"]:
        raise UserError("-x and --json both want standard output; give one")
    given = [options[name] for name in ("before", "after", "both") if options[name] is not None]
    if len({lines for _, lines in given}) > 1:
        raise UserError("context is in lines or in bytes; give -A, -B and -C all with b or all without")


def _patterns(options: dict[str, Any]) -> list[Pattern]:
    """Return all patterns that were asked for."""
    ignore_case = options["ignore_case"]
    found: list[Pattern] = []
    for letter, name, side in (("-a", "any_side", ANY), ("-c", "client", "client"), ("-s", "server", "server")):
        found += [
            compile_pattern(os.fsencode(text), letter, side=side, ignore_case=ignore_case) for text in options[name]
        ]
    for name, side in (("client_files", "client"), ("server_files", "server")):
        for path in options[name]:
            found += patterns_of_file(_content(path), path, side=side, ignore_case=ignore_case)
    for path in options["rule_files"]:
        ours = resources("sensor.match").joinpath("starter.toml")
        data = ours.read_bytes() if path == _STARTER else _content(path)
        found += read_rules(data, path, ignore_case=ignore_case).patterns
    if not found:
        raise UserError("nothing to look for; give a pattern with -a, -c or -s, or rules with --rules starter")
    check_number(found)
    for one in found:
        if one.shape.nested:
            say(f"pattern {one.name} repeats what repeats: some data may take long, and is left after two seconds")
    return found


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot read {path}: {reason}; check the path and its permissions") from None
    if len(data) > _MAX_FILE_BYTES:
        raise UserError(f"{path} has more than {_MAX_FILE_BYTES} bytes; split it")
    return data


def _context(options: dict[str, Any]) -> Context:
    both = options["both"] or (0, True)
    before, after = options["before"] or both, options["after"] or both
    lines = any(given is not None and given[1] for given in (options["before"], options["after"], options["both"]))
    return Context(before[0], after[0], lines)


def _settings(options: dict[str, Any]) -> Settings:
    shown = _context(options)
    if not shown.lines:
        return Settings(options["invert"], (shown.before, shown.after))
    # How long lines are is seen only then.
    reach = (MAX_CONTEXT_BYTES if shown.before or shown.after else 0,) * 2
    return Settings(options["invert"], reach)


def _report(options: dict[str, Any], write: Callable[[str], object]) -> Report:
    """Return what writes the results as they were asked for."""
    shown = _context(options)
    names_only = options["names_only"]
    one_match = match_json if options["as_json"] else match_line
    one_flow = unmatched_json if options["as_json"] else unmatched_line

    def match(began: Began, direction: int, time_ns: int, found: Match) -> None:
        if not names_only:
            write(one_match(began, direction, time_ns, found, shown))

    def unmatched(began: Began, bytes_out: int, bytes_in: int) -> None:
        if not names_only:
            write(one_flow(began, bytes_out, bytes_in))

    def logged(path: str) -> None:
        if names_only:
            write(printable(path) + "\n")

    return Report(match, unmatched, logged)


def _give_up_root(user: str, directory: str | None, files: PayloadFiles | None, *, keep_capturing: bool) -> None:
    """Become the user; a directory that was made here is theirs, another they must be allowed to write."""
    own = [Path(directory)] if directory is not None and files is not None and files.created else []
    drop_privileges(user, Reach(own=own), keep_capturing=keep_capturing)
    if directory is not None and not os.access(directory, os.W_OK | os.X_OK):
        raise UserError(f"{user} may not write to {directory}; give another with -l, another user with -u, or -u root")


@contextmanager
def _ticking(watch: Stopwatch) -> Iterator[None]:
    """Let a timer look after searches that go on and on."""
    old = signal.signal(signal.SIGALRM, lambda *_: watch.tick())
    signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _say_what_was_left_out(run: Grep, files: PayloadFiles | None) -> None:
    if run.cut:
        say(f"{run.cut} streams were cut: there was no room to hold more; a match may be missing in each")
    for name, streams in sorted(run.stopped.items()):
        say(f"pattern {name} took more than a second and was left in {streams} streams")
    if run.lost_bytes:
        say(f"{run.lost_bytes} bytes of {run.lost_flows} logged flows did not fit into memory, their files lack them")
    if files is not None and files.cut_bytes:
        say(f"{files.cut_bytes} bytes are not in the files of flows: a file has at most 1 GiB")
