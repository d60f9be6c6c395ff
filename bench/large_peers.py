"""The same top-N over the same flows with nfdump over its files and DuckDB over Parquet."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from large_nfdump import nfdump_files
from large_queries import Examples
from large_rows import whole_flows
from measure import HERE, Cost, environment, median, rounds, say

from common.addresses import address_text

_TOP = 20
_PATIENCE_S = 10
_SCRIPT = HERE / "large_duckdb.py"
_GAP_NS = 300 * 10**9
# The time that each channel stood up: its flows in order of their start, each adding what the ones before it did not
# cover, and the silence before it when that was short.
_UPTIME = f"""
    WITH ordered AS (
        SELECT client, server, server_port, start_ns, end_ns, max(end_ns) OVER (
            PARTITION BY client, server, server_port ORDER BY start_ns, end_ns
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS covered
        FROM flows WHERE protocol = 6)
    SELECT client, server, server_port, sum(CASE
        WHEN covered IS NULL OR start_ns > covered + {_GAP_NS} THEN end_ns - start_ns
        ELSE greatest(end_ns - covered, 0) END) / 1e9 AS value
    FROM ordered GROUP BY ALL ORDER BY value DESC LIMIT {_TOP}"""


# The columns of nfdump's output for each order, in its statistics and in its own format.
_COLUMN = {"flows": ("fl", 0), "ibyte": ("ibyt", 1), "obyte": ("obyt", 2)}
_START = "the start alone"


class Same(NamedTuple):
    """One question in each tool's words; what nfdump cannot answer is None."""

    tunnelwatch: Sequence[str]
    nfdump: tuple[str, str, str] | None
    """By which fields, in which order, of which flows."""
    duckdb: str


def beside_others(store: Path, logs: Sequence[Path], who: Examples, count: int, made: Path) -> list[str]:
    """Return the table; what is made of the logs is kept at ``made`` with an ending."""
    files = nfdump_files(made.with_suffix(".nfdump"), logs)
    python = environment("duckdb", "duckdb.txt")
    parquet = None if python is None else _parquet(made.with_suffix(".parquet"), logs, python)
    asked = _same(who)
    commands: dict[str, Sequence[str]] = {f"0 {_START}": ["tunnelwatch", "--version"]}
    readers: dict[str, Callable[[str], list[float]]] = {}
    if files is not None:
        commands[f"1 {_START}"] = ["nfdump", "-V"]
    if python is not None:
        commands[f"2 {_START}"] = [str(python), "-c", "import duckdb"]
    for question in asked:
        name = " ".join(question.tunnelwatch)
        commands[f"0 {name}"] = ["tunnelwatch", "--db", str(store), *question.tunnelwatch, "--json"]
        readers[f"0 {name}"] = _json_values
        if files is not None and question.nfdump is not None:
            commands[f"1 {name}"] = _nfdump(files, *question.nfdump)
            readers[f"1 {name}"] = _nfdump_values(*question.nfdump[:2])
        if parquet is not None:
            commands[f"2 {name}"] = [str(python), str(_SCRIPT), "ask", str(parquet), question.duckdb]
            readers[f"2 {name}"] = lambda text: [float(row[-1]) for row in json.loads(text)]
    costs = rounds(commands, count, _PATIENCE_S)
    values = {key: read(_output(commands[key])) for key, read in readers.items()}
    what = (
        f"The same lists of {_TOP} beside others, whole processes, seconds: nfdump over its own files ({_size(files)}, "
        f"not compressed; a record a flow, both directions in it), DuckDB over Parquet ({_size(parquet)})."
    )
    lines = [
        what, "",
        "| question | tunnelwatch | nfdump | DuckDB | all say the same |", "|---|--:|--:|--:|---|",
    ]  # fmt: skip
    for name in (_START, *(" ".join(question.tunnelwatch) for question in asked)):
        cells = [_cell(costs.get(f"{tool} {name}")) for tool in range(3)]
        said = [values[key] for tool in range(3) if (key := f"{tool} {name}") in values]
        shown = name.replace(who.busiest, "C")
        lines.append(f"| `{shown}` | {' | '.join(cells)} | {_agreement(said)} |")
    missing = [name for name, found in (("nfdump", files), ("DuckDB", parquet)) if found is None]
    if any(len(taken) == 1 for taken in costs.values()):
        lines += ["", f"A time with * is of a single run: its first took longer than {_PATIENCE_S} s."]
    return [*lines, *(["", f"Not here: {', '.join(missing)}."] if missing else [])]


def _same(who: Examples) -> list[Same]:
    top = f"FROM flows WHERE protocol = 6 GROUP BY ALL ORDER BY value DESC LIMIT {_TOP}"
    mine = top.replace("= 6", f"= 6 AND client = '{who.busiest}'")
    named = top.replace("= 6", "= 6 AND host IS NOT NULL")
    service, channel = "dstip,dstport,proto", "srcip,dstip,dstport,proto"
    tcp = "proto tcp"
    only = f"{tcp} and src ip {who.busiest}"
    client = ("--client", who.busiest)
    return [
        Same(("top", "clients", "--by", "outbound"), ("srcip", "ibyte", tcp),
             f"SELECT client, sum(bytes_out)::BIGINT AS value {top}"),
        Same(("top", "clients", "--by", "connections"), ("srcip", "flows", tcp),
             f"SELECT client, count(*) AS value {top}"),
        Same(("top", "servers", "--by", "connections"), (service, "flows", tcp),
             f"SELECT server, server_port, count(*) AS value {top}"),
        Same(("top", "servers", "--by", "inbound"), (service, "obyte", tcp),
             f"SELECT server, server_port, sum(bytes_in)::BIGINT AS value {top}"),
        Same(("top", "channels", "--by", "outbound"), (channel, "ibyte", tcp),
             f"SELECT client, server, server_port, sum(bytes_out)::BIGINT AS value {top}"),
        Same(("top", "channels", "--by", "channel-uptime"), None, _UPTIME),
        Same(("top", "hosts", "--by", "connections"), None, f"SELECT host, count(*) AS value {named}"),
        Same(("top", "servers", "--by", "connections", *client), (service, "flows", only),
             f"SELECT server, server_port, count(*) AS value {mine}"),
        Same(("top", "servers", "--by", "outbound", *client), (service, "ibyte", only),
             f"SELECT server, server_port, sum(bytes_out)::BIGINT AS value {mine}"),
    ]  # fmt: skip


def _nfdump(files: Path, fields: str, order: str, flows: str) -> list[str]:
    """Return the command: a statistic of one field, or flows aggregated by several."""
    command = ["nfdump", "-R", str(files), "-N", "-n", str(_TOP)]
    if "," in fields:
        return [*command, "-q", "-A", fields, "-O", order, "-o", "fmt:%fl %byt %obyt", flows]
    return [*command, "-o", "csv", "-s", f"{fields}/{order}", flows]


def _nfdump_values(fields: str, order: str) -> Callable[[str], list[float]]:
    name, place = _COLUMN[order]

    def aggregated(text: str) -> list[float]:
        return [float(line.split()[place]) for line in text.splitlines() if line.strip()]

    def statistic(text: str) -> list[float]:
        return [float(row[name]) for row in csv.DictReader(text.strip().split("\n\n")[0].splitlines())]

    return aggregated if "," in fields else statistic


def _json_values(text: str) -> list[float]:
    return [float(row["value"]) for row in json.loads(text)]


def _parquet(path: Path, logs: Sequence[Path], python: Path) -> Path:
    """Return the Parquet file, made on first use."""
    if path.exists():
        return path
    say(f"making {path.name}")
    partial = path.with_suffix(".partial")
    texts: dict[bytes, str] = {}
    with subprocess.Popen([python, _SCRIPT, "make", partial], stdin=subprocess.PIPE, text=True) as making:
        assert making.stdin is not None
        rows = csv.writer(making.stdin)
        for flow in whole_flows(logs):
            client, server = (
                texts.get(ip) or texts.setdefault(ip, address_text(ip)) for ip in (flow.client, flow.server)
            )
            start, *figures = flow[8:14]
            rows.writerow(
                (client, flow.client_port, server, flow.server_port, flow.protocol, start, *figures, flow.host)
            )
    if making.returncode:
        raise SystemExit("the Parquet file was not made")
    partial.rename(path)
    return path


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _agreement(said: Sequence[Sequence[float]]) -> str:
    """Tell whether all lists hold the same figures, to the millionth."""
    if len(said) < 2:
        return ""
    same = all(len(one) == len(said[0]) for one in said) and all(
        abs(value - figures[0]) <= abs(figures[0]) / 1e6 for figures in zip(*said, strict=False) for value in figures
    )
    return "yes" if same else "**no**"


def _cell(taken: Sequence[Cost] | None) -> str:
    if taken is None:
        return "-"
    return f"{median([each.wall_s for each in taken]):.2f}{'*' if len(taken) == 1 else ''}"


def _size(path: Path | None) -> str:
    if path is None:
        return "not here"
    files = path.rglob("*") if path.is_dir() else [path]
    return f"{sum(file.stat().st_size for file in files) / 1e6:,.0f} MB"
