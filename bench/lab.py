#!/usr/bin/env python3
"""Show which tunnels in labelled captures and logs are alarmed on, with the default configuration and nothing learned.

    .venv/bin/python bench/lab.py             every table, to standard output
    .venv/bin/python bench/lab.py --write     also into docs/lab.md
    .venv/bin/python bench/lab.py --only m04_httptunnel --step 5

The captures are those kept beside the project in ``../shared/data``; the tests ask of the same verdicts
(tests/system/test_lab.py, tests/system/test_kept.py).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))
from kept_truth import hits, labelled, ran_kept, truths, worst
from lab_runs import delays_s, imported, judged
from lab_truth import HIGH, MEDIUM, Group, Verdict, outranked, score, speaking, units

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs/lab.md"
MARKS = "<!-- lab: begin -->", "<!-- lab: end -->"
STEP_S = 10.0
ASKED = (
    (Group.FOREIGN, HIGH, "high", 1.0),
    (Group.BEHAVIOUR, MEDIUM, "medium", 0.9),
    (Group.TWIN, MEDIUM, "medium", 0.6),
)
LABELLED = (
    "zeek-ctu-njrat/labeled-conn.log", "zeek-ctu-remcos/conn.log.labeled", "zeek-ctu-normal40-day1/conn.log.labeled",
)  # fmt: skip
MOST_BENIGN_SHARE = 0.02


def captures_table(lab: Path, names: Sequence[str], step_s: float, found: list[Verdict]) -> Iterator[str]:
    """Yield a row for each label of each capture, and keep the verdicts in ``found``."""
    how = (
        "Delay: from the label's start to an alarm of at least medium, when records come as the sensor hands them "
        f"out, to {step_s:g} s. Rank: of the channel among all of its capture, by the probability of a tunnel in it."
    )
    yield from (
        how, "",
        "| capture | label | tool | connections | severity | probability | delay, s | rank | symptoms |",
        "|---|---|---|--:|---|--:|--:|--:|---|",
    )  # fmt: skip
    for name in names:
        of = units(lab, name)
        with tempfile.TemporaryDirectory() as folder:
            mine = judged(lab, name, of, Path(folder))
            late = [None] * len(of)
            if any(verdict.level >= MEDIUM for verdict in mine):
                late = delays_s(lab / f"{name}.pcap", of, Path(folder), step_s)
        found += mine
        for verdict, delay_s in zip(mine, late, strict=True):
            yield _row(verdict, delay_s)


def _row(verdict: Verdict, delay_s: float | None) -> str:
    unit = verdict.unit
    probability = "" if verdict.probability is None else f"{verdict.probability:.2g}"
    delay = "" if delay_s is None else f"{delay_s:.0f}"
    severity = verdict.severity or ("none" if unit.benign or unit.group is Group.NOTHING else "**none**")
    return (
        f"| {unit.capture} | {unit.label} | {unit.tool} | {len(unit.connections)} | {severity} | {probability} "
        f"| {delay} | {verdict.rank or ''} | {', '.join(verdict.symptoms)} |"
    )


def summary(found: Sequence[Verdict]) -> Iterator[str]:
    """Yield what the groups come to."""
    yield from ("| group | labels | alarmed | at least | share | asked | |", "|---|--:|--:|---|--:|--:|---|")
    for group, least, name, share in ASKED:
        reached = score(group, found, least)
        met = "met" if reached.share >= share else "**not met**"
        yield (
            f"| {group.value} | {reached.asked} | {reached.reached} | {name} | {reached.share:.0%} | {share:.0%} "
            f"| {met} |"
        )
    benign = [verdict for verdict in found if verdict.unit.benign and verdict.unit.asked]
    for least, name, most in ((HIGH, "high", 0.0), (MEDIUM, "medium", MOST_BENIGN_SHARE)):
        wrong = sum(verdict.level >= least for verdict in benign)
        met = "met" if wrong <= most * len(benign) else "**not met**"
        yield f"| benign | {len(benign)} | {wrong} | {name} | {wrong / max(len(benign), 1):.1%} | {most:.0%} | {met} |"
    by_capture: dict[str, list[Verdict]] = {}
    for verdict in found:
        by_capture.setdefault(verdict.unit.capture, []).append(verdict)
    below = {(pair[0].unit.capture, pair[0].unit.label) for mine in by_capture.values() for pair in outranked(mine)}
    yield ""
    yield (
        "Tunnels with a benign twin that rank below or beside benign use: "
        + (", ".join(f"{label} ({capture})" for capture, label in sorted(below)) or "none")
        + "."
    )


def kept_table(data: Path) -> Iterator[str]:
    """Yield a row for each pair of TRUTH-DETECT.tsv."""
    yield from (
        "| file | client | server | port | known to be | kind | severity | symptoms | |",
        "|---|---|---|--:|---|---|---|---|---|",
    )
    with tempfile.TemporaryDirectory() as folder:
        done = {}
        for row in truths(data):
            if row.file not in done:
                done[row.file] = ran_kept(data, row.file, Path(folder)).alarms
            bad = worst(filter(row.holds, done[row.file]))
            alarmed = bad is not None and bad["severity"] != "low"
            wrong = (row.verdict == "POS" and not alarmed) or (row.verdict == "NEG" and alarmed)
            yield (
                f"| {row.file} | {row.client} | {row.server} | {row.port} | {row.verdict} | {row.kind} "
                f"| {bad['severity'] if bad else 'none'} | {', '.join(speaking(bad)) if bad else ''} "
                f"| {'**wrong**' if wrong else ''} |"
            )


def labelled_table(data: Path) -> Iterator[str]:
    """Yield, for each labelled flow log, how many pairs of each label are alarmed on."""
    yield from ("| log | label | pairs | alarmed, medium or above |", "|---|---|--:|--:|")
    for file in LABELLED:
        log = data / "e_flowlogs" / file
        with tempfile.TemporaryDirectory() as folder:
            alarms = imported(log, Path(folder) / "log.db").alarms
        pairs, alarmed = hits(labelled(log), alarms)
        for label in sorted(pairs):
            yield f"| {file} | {label} | {pairs[label]} | {alarmed[label]} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=HERE.parent.parent / "shared/data", help="default: %(default)s")
    parser.add_argument("--only", action="append", metavar="NAME", help="this capture; may be repeated")
    parser.add_argument("--step", type=float, default=STEP_S, metavar="S", help="of the delays (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/lab.md")
    arguments = parser.parse_args()
    lab = arguments.data / "lab"
    names = sorted(path.name.removesuffix(".labels.json") for path in lab.glob("*.labels.json"))
    if not names:
        parser.error(f"no labelled captures in {lab}: say with --data where they are")
    unknown = set(arguments.only or ()) - set(names)
    if unknown or arguments.step <= 0:
        parser.error(f"no such capture: {', '.join(sorted(unknown))}" if unknown else "--step is more than 0")
    found: list[Verdict] = []
    rows = list(
        captures_table(lab, [name for name in names if name in (arguments.only or names)], arguments.step, found)
    )
    lines = ["## The groups", "", *summary(found), "", "## Label by label", "", *rows, ""]
    if not arguments.only:
        lines += ["## Others' captures and logs", "", *kept_table(arguments.data), ""]
        lines += ["## Labelled flow logs", "", *labelled_table(arguments.data), ""]
    text = "\n".join(lines)
    print(text, flush=True)
    if arguments.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
        PAGE.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
