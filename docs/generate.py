"""Write docs/reference from the code: every command with its options, every field of every record.

.venv/bin/python docs/generate.py            write the pages
.venv/bin/python docs/generate.py --check    exit 1 when a page is not what the code says
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from common.flowlog import MAX_BATCH_RECORDS, MAX_FRAME_BYTES, VERSION
from common.records import END_REASONS, ORIENTATIONS, RECORD_TYPES, fields_of
from correlator.cli import main as correlator
from sensor.cli import main as sensor

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- made by docs/generate.py; do not edit -->\n"


_RECORDS = """# Records

What travels from sensor to correlator, in this order on the wire. `_out` is client to server, `_in` server to client;
`_ns` are nanoseconds since 1970 (UTC) or a duration. A nil field was not measured.

A frame of the flow log (version {version}) holds at most {size:,} bytes and {records:,} records;
`common/flowlog.py` begins with its layout.
"""


def cli_page() -> str:
    """Every command's own help."""
    parts = [NOTE, "# Commands\n"]
    for name, program in (("tunnelwatch-sensor", sensor), ("tunnelwatch", correlator)):
        parts.append(f"\n## {name}\n\n```text\n{_help(name, program)}```\n")
        for path, command in _commands(name, program):
            parts.append(f"\n### {path}\n\n```text\n{_help(path, command)}```\n")
    return "".join(parts)


def _commands(prefix: str, group: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(group, click.Group):
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{prefix} {name}", command
        yield from _commands(f"{prefix} {name}", command)


def _help(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path, max_content_width=110, terminal_width=110)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines()) + "\n"


def records_page() -> str:
    """Every record kind, its fields in wire order."""
    titles = {
        "flow": "Flow records",
        "stats": "Sensor statistics",
        "alarm": "Sensor threshold alarms",
        "http": "HTTP exchanges",
    }
    parts = [NOTE, _RECORDS.format(version=VERSION, size=MAX_FRAME_BYTES, records=MAX_BATCH_RECORDS)]
    for kind, record_type in RECORD_TYPES.items():
        parts.append(f"\n## {titles[kind]} (`{kind}`)\n\n| field | values | meaning |\n|---|---|---|\n")
        parts += [f"| `{field.name}` | {field.kind.name} | {field.doc} |\n" for field in fields_of(record_type)]
    parts.append("\n`end_reason` (IPFIX flowEndReason): " + _codes(END_REASONS) + ".\n")
    parts.append("\n`oriented_by`: " + _codes(ORIENTATIONS) + ".\n")
    return "".join(parts)


def _codes(codes: Mapping[int, str]) -> str:
    return ", ".join(f"{code} {name}" for code, name in codes.items())


PAGES = {"cli.md": cli_page, "records.md": records_page}


def stale() -> list[str]:
    """Return the names of the pages that are not what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text(encoding="utf-8") != page()
    ]


def main() -> None:
    """Write the pages, or check them."""
    if "--check" in sys.argv[1:]:
        names = stale()
        if names:
            sys.exit(f"out of date: {', '.join(names)}; run docs/generate.py")
        return
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
