"""Write docs/reference from the code: every command with its options, every field of every record, every symptom.

.venv/bin/python docs/generate.py            write the pages
.venv/bin/python docs/generate.py --check    exit 1 when a page is not what the code says
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import msgspec

from common.flowlog import MAX_BATCH_RECORDS, MAX_FRAME_BYTES, VERSION
from common.records import END_REASONS, ORIENTATIONS, RECORD_TYPES, fields_of
from correlator.cli import main as correlator
from correlator.detect.catalogue import CATALOGUE
from correlator.detect.settings import DetectSettings
from correlator.detect.symptom import Family, Symptom
from sensor.cli import main as sensor

REFERENCE = Path(__file__).resolve().parent / "reference"
NOTE = "<!-- made by docs/generate.py; do not edit -->\n"


_RECORDS = """# Records

What travels from sensor to correlator, in this order on the wire. `_out` is client to server, `_in` server to client;
`_ns` are nanoseconds since 1970 (UTC) or a duration. A nil field was not measured.

A frame of the flow log (version {version}) holds at most {size:,} bytes and {records:,} records;
`common/flowlog.py` begins with its layout.
"""

_SYMPTOMS = """# Symptoms

What speaks for a tunnel, or against one, and how strongly. How symptoms are added up is told in
[detection](../detection.md): of each family the strongest counts. `log10 LR` is what a symptom adds to the odds, in
powers of ten: 2 makes a tunnel a hundred times as likely. "expert" in a source marks an estimate of ours; the others
are published figures. `[detect.log10_lr]` in the configuration replaces them by name; formulas name the
[settings](#settings) they use.

| symptom | family | log10 LR | |
|---|---|---|---|
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


def symptoms_page() -> str:
    """Every symptom of the catalogue by family, and the settings of the tests for them."""
    by_family = {family: [symptom for symptom in CATALOGUE.symptoms.values() if symptom.family is family]
                 for family in Family}  # fmt: skip
    listed = [symptom for symptoms in by_family.values() for symptom in symptoms]
    parts = [NOTE, _SYMPTOMS]
    parts += [
        f"| [`{symptom.name}`](#{symptom.name}) | {symptom.family} | {symptom.log10_lr:g} | {symptom.meaning} |\n"
        for symptom in listed
    ]
    for family, symptoms in by_family.items():
        parts += [f"\n## Family {family}\n" if symptoms else "", *map(_symptom, symptoms)]
    return "".join((*parts, _settings()))


def _symptom(symptom: Symptom) -> str:
    weight = f"{symptom.log10_lr:g} (a factor of {10**symptom.log10_lr:.3g})"
    if symptom.decisive:
        weight += "; decisive"
    if symptom.log10_lr_absent:
        weight += f"; {symptom.log10_lr_absent:g} where it was tested for and is absent"
    if symptom.rates is not None:
        weight += (
            f"; many flows together, with {symptom.rates.tunnels:g} of tunnels and {symptom.rates.others:g} of others"
        )
    rows = {
        "log10 LR": weight,
        "Formula": symptom.formula,
        "Source": symptom.source,
        "Known false positives": symptom.false_positives,
        "Known evasions": symptom.evasions,
    }
    told = "".join(f"* **{name}**: {text}.\n" for name, text in rows.items())
    return f"\n### {symptom.name}\n\n{symptom.meaning[0].upper()}{symptom.meaning[1:]}.\n\n{told}"


def _settings() -> str:
    parts = ["\n## Settings\n\n| setting | default |\n|---|---|\n"]
    for section in msgspec.structs.fields(DetectSettings):
        limits = getattr(DetectSettings(), section.name)
        if isinstance(limits, msgspec.Struct):
            values = msgspec.structs.asdict(limits)
            parts += [f"| `[detect.{section.name}] {name}` | {_value(value)} |\n" for name, value in values.items()]
    return "".join(parts)


def _value(value: object) -> str:
    return msgspec.json.encode(value).decode().replace("|", "\\|")


PAGES = {"cli.md": cli_page, "records.md": records_page, "symptoms.md": symptoms_page}


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
