"""Every question about the large store through the command line, beside its budget."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from measure import Cost, median, rounds, verdict

MOST_WHOLE_S, MOST_ANSWER_S, MOST_DEEP_S = 0.5, 0.2, 0.5
_PATIENCE_S = 5
_SUBJECTS = ("servers", "clients", "channels", "hosts")
_MEASURES = ("connections", "outbound", "inbound", "channel-uptime", "tcp-uptime")
START = "the start: `tunnelwatch --version`"


class Question(NamedTuple):
    """A command as a row of the table."""

    shown: str
    arguments: Sequence[str]
    deep: bool = False
    group: str = ""
    """Rows of one group are one row, of the slowest."""


class Examples(NamedTuple):
    """Whom the questions for one client or service are about."""

    busiest: str
    typical: str
    busiest_service: str
    typical_service: str


def examples(store: Path) -> Examples:
    """Return the busiest and the median client and service by connections."""
    clients = [row["client"] for row in answer(store, "top", "clients", "-n", "1000000")]
    services = [row["server"] for row in answer(store, "top", "servers", "-n", "1000000")]
    return Examples(clients[0], clients[len(clients) // 2], services[0], services[len(services) // 2])


def answer(store: Path, *arguments: str) -> Any:
    """Return the answer to a question."""
    command = [*_command(store), *arguments, "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def questions(who: Examples) -> list[Question]:
    """Return what is asked."""
    asked = [Question(name, [name]) for name in ("summary", "clients", "servers", "periods")]
    asked.append(Question("clients --protocol all", ["clients", "--protocol", "all"]))
    for way in ("top", "bottom"):
        for subject in _SUBJECTS:
            for scope, chosen in (("", ()), (" --client C", ("--client", who.busiest))):
                for by in _MEASURES:
                    command = (way, subject, "--by", by, *chosen)
                    asked.append(
                        Question(f"{way} {subject}{scope} --by {by}", command, group=f"{way} {subject}{scope}")
                    )
    for scope, chosen in (
        ("", ()), (" --client C", ("--client", who.busiest)), (" --server S", ("--server", who.busiest_service)),
    ):  # fmt: skip
        asked.append(Question(f"evolution --by outbound{scope}", ("evolution", "--by", "outbound", *chosen)))
    for name, client in (("T", who.typical), ("C", who.busiest)):
        asked.append(Question(f"clients {name} --depth 2", ("clients", client, "--depth", "2"), deep=True))
        asked.append(Question(f"clients {name} --depth 3", ("clients", client, "--depth", "3"), deep=True))
        deep = ("periods", "--client", client, "--depth")
        asked += [
            Question(f"periods --client {name} --depth {depth}", (*deep, depth), deep=True) for depth in ("2", "3")
        ]
    for name, service in (("t", who.typical_service), ("S", who.busiest_service)):
        asked.append(Question(f"servers {name} --depth 2", ("servers", service, "--depth", "2"), deep=True))
    return asked


def queries_table(store: Path, who: Examples, count: int, details: Path) -> list[str]:
    """Return the table; every single command goes to ``details``."""
    asked = questions(who)
    missing = [question for question in asked if not _works(store, question)]
    asked = [question for question in asked if question not in missing]
    commands: dict[str, Sequence[str]] = {START: ["tunnelwatch", "--version"]}
    commands |= {question.shown: [*_command(store), *question.arguments, "--json"] for question in asked}
    costs = rounds(commands, count, patience_s=_PATIENCE_S)
    start_s = _wall(costs[START])
    slowest: dict[str, Question] = {}
    lines = []
    for question in asked:
        wall_s = _wall(costs[question.shown])
        lines.append(f"{question.shown}\t{wall_s:.3f}\t{max(0, wall_s - start_s):.3f}\t{len(costs[question.shown])}")
        known = slowest.setdefault(question.group or question.shown, question)
        if wall_s > _wall(costs[known.shown]):
            slowest[question.group or question.shown] = question
    details.write_text("\n".join(["command\twhole s\tanswer s\truns", *lines, ""]), encoding="utf-8")
    what = (
        f"Questions, medians of {count} runs with a warm page cache, `--json`; C is the busiest client\n"
        f"({who.busiest}), T the median one ({who.typical}), S and t such services ({who.busiest_service},\n"
        f"{who.typical_service}). The answer alone is the whole process less the median of `tunnelwatch --version`\n"
        f"in the same rounds ({start_s:.2f} s). Of `top` and `bottom`, asked by each of five figures, the slowest is\n"
        "shown."
    )
    table = [
        what, "",
        "| command | whole process, s | answer alone, s | budget of each | |", "|---|--:|--:|--:|---|",
    ]  # fmt: skip
    table += [_row(question, costs[question.shown], start_s) for question in slowest.values()]
    table += ["", f"A time with * is of a single run: its first took longer than {_PATIENCE_S} s."]
    if missing:
        names = ", ".join(f"`{question.shown}`" for question in missing)
        table += ["", f"Not here, because this version has no such command: {names}."]
    return table


def _row(question: Question, taken: Sequence[Cost], start_s: float) -> str:
    wall_s = _wall(taken)
    alone_s = max(0.0, wall_s - start_s)
    once = "*" if len(taken) == 1 else ""
    if question.deep:
        return (
            f"| `{question.shown}` | {wall_s:.2f}{once} | {alone_s:.2f} | {MOST_DEEP_S} alone "
            f"| {verdict(alone_s <= MOST_DEEP_S)} |"
        )
    met = wall_s <= MOST_WHOLE_S and alone_s <= MOST_ANSWER_S
    return (
        f"| `{question.shown}` | {wall_s:.2f}{once} | {alone_s:.2f} | {MOST_WHOLE_S} whole, {MOST_ANSWER_S} alone "
        f"| {verdict(met)} |"
    )


def _works(store: Path, question: Question) -> bool:
    """Tell whether the command is there; any other failure is for the measurement to find."""
    if question.arguments[0] != "evolution":
        return True
    command = [*_command(store), "evolution", "--help"]
    return not subprocess.run(command, check=False, capture_output=True).returncode


def _command(store: Path) -> list[str]:
    return ["tunnelwatch", "--db", str(store)]


def _wall(taken: Sequence[Cost]) -> float:
    return median([each.wall_s for each in taken])
