"""``tunnelwatch-sensor read``: capture files into flow records."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from common.errors import UserError
from sensor.capture.inputs import OpenInputs
from sensor.capture.pcapfile import check_capture
from sensor.cli.options import effective_config, make_run, one_filter, shared_options, user_to_run_as

_CAPTURE_SUFFIXES = (".pcap", ".pcapng", ".cap", ".dump", ".gz", ".dmp")


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="FILE... [FILTER...]")
@shared_options
@click.option("-p", "_promiscuous", is_flag=True, hidden=True, help="Has no meaning for a file.")
@click.pass_context
def read(context: click.Context, /, words: tuple[str, ...], **options: Any) -> None:
    r"""Read capture files (pcap, pcapng, also gzipped; - is standard input) into flow records.

    The words after the last FILE are a filter as for tcpdump. SIGUSR1 gives the statistics at once. Started as root,
    it opens the files and reads them as nobody; -u names another user.

    \b
    Examples:
      tunnelwatch-sensor read trace.pcap
      tunnelwatch-sensor read monday.pcap tuesday.pcap -w week.flowlog
      tunnelwatch-sensor read trace.pcap --format csv -w - tcp port 443
      tcpdump -w - | tunnelwatch-sensor read - -y 300
    """
    files, expression = split_words(words)
    expression = one_filter(expression, options["filter_option"])
    check_capture(files[0], expression)
    user = user_to_run_as(options)
    run = make_run(options, effective_config(options), files)
    try:
        # Somebody else may not be allowed to open them later.
        names = files if user is not None else []
        with run.service.signals(), closing(OpenInputs(names)) as inputs:
            run.give_up_root(user)
            code = run.service.read(files, expression, inputs.open)
    finally:
        run.close()
    context.exit(code)


def split_words(words: tuple[str, ...]) -> tuple[list[str], str]:
    """Return (files, filter expression): the first word is a file, and so are those after it that exist.

    A word that looks like a capture's path but does not exist is a mistyped file and not a filter.
    """
    files = [words[0]]
    for word in words[1:]:
        if word != "-" and not _is_file(word):
            if word.endswith(_CAPTURE_SUFFIXES) or word.startswith(("/", "./", "../")):
                raise UserError(f"no file {word}; check the path")
            break
        files.append(word)
    return files, " ".join(words[len(files) :])


def _is_file(word: str) -> bool:
    """Tell whether a word names something to read: a file, or a pipe such as the shell's <(command)."""
    path = Path(word)
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # too long for a name
        return False
