"""Zeek's conn.log in its two forms, in every state that the wild has them in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli

FIELDS = [
    "ts",
    "uid",
    "id.orig_h",
    "id.orig_p",
    "id.resp_h",
    "id.resp_p",
    "proto",
    "service",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "conn_state",
    "missed_bytes",
    "history",
    "orig_pkts",
    "orig_ip_bytes",
    "resp_pkts",
    "resp_ip_bytes",
]
VALUES = "1700000000.281275,CUid,10.0.0.1,51234,192.0.2.1,443,tcp,ssl,1.5,100,2000,SF,7,ShADadFf,5,360,6,2312"
LINE = dict(zip(FIELDS, VALUES.split(","), strict=True))


def tsv(*lines: dict[str, str], fields: list[str] = FIELDS) -> str:
    head = (
        f"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#fields\t{chr(9).join(fields)}\n"
    )
    return head + "".join("\t".join(line.get(name, "-") for name in fields) + "\n" for line in lines)


def imported(cli: Cli, tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "conn.log"
    path.write_text(text)
    cli.imported(path)
    (row,) = cli.json("flows", "--protocol", "all")
    assert isinstance(row, dict)
    return row


def test_every_mapped_field_arrives(cli: Cli, tmp_path: Path) -> None:
    row = imported(cli, tmp_path, tsv(LINE))
    assert row["start_ns"] == 1_700_000_000_281_275_000
    assert row["end_ns"] - row["start_ns"] == 1_500_000_000
    expected = {
        "client_ip": "10.0.0.1",
        "client_port": 51234,
        "server_ip": "192.0.2.1",
        "server_port": 443,
        "protocol": "tcp",
        "app_out": "ssl",
        "payload_bytes_out": 100,
        "payload_bytes_in": 2000,
        "packets_out": 5,
        "packets_in": 6,
        "wire_bytes_out": 360,
        "wire_bytes_in": 2312,
        "missed_bytes_out": 7,
        "conn_state": "SF",
        "history": "ShADadFf",
        "end_reason": "end_of_flow",
        "sensor": "import",
    }
    assert {name: row[name] for name in expected} == expected


def test_columns_come_in_any_order_and_unset_ones_are_nothing(cli: Cli, tmp_path: Path) -> None:
    few = {name: value for name, value in LINE.items() if name not in ("duration", "orig_bytes", "service", "history")}
    row = imported(cli, tmp_path, tsv(few, fields=[*reversed(FIELDS), "label"]))
    assert (row["start_ns"], row["payload_bytes_out"], row["app_out"]) == (row["end_ns"], 0, None)


def test_json_gives_the_same_as_tsv(cli: Cli, tmp_path: Path) -> None:
    numbers = {"ts", "duration"} | {name for name in FIELDS if name.endswith(("_p", "bytes", "pkts"))}
    line = {name: json.loads(value) if name in numbers else value for name, value in LINE.items()}
    from_json = imported(cli, tmp_path, json.dumps(line))
    other = Cli(tmp_path / "other.db")
    assert from_json == imported(other, tmp_path, tsv(LINE))


@pytest.mark.parametrize(("text", "duration_ns"), [("9.000000000e-06", 9000), ("1e2", 100 * 10**9)])
def test_json_numbers_with_exponents_are_exact(cli: Cli, tmp_path: Path, text: str, duration_ns: int) -> None:
    line = json.dumps({**LINE, "duration": None}).replace('"duration": null', f'"duration": {text}')
    row = imported(cli, tmp_path, line)
    assert row["end_ns"] - row["start_ns"] == duration_ns


def test_icmp_between_ipv6_addresses_is_icmp6(cli: Cli, tmp_path: Path) -> None:
    line = {**LINE, "proto": "icmp", "id.orig_h": "fe80::1", "id.resp_h": "ff02::2"}
    assert imported(cli, tmp_path, tsv(line))["protocol"] == "icmp6"


@pytest.mark.parametrize(
    "change",
    [
        {"ts": "XXXXXXXXXX.XXXXXX"},
        {"ts": "-"},
        {"ts": "-5.0"},
        {"ts": "nan"},
        {"ts": "1e999999999"},
        {"duration": "-1.0"},
        {"id.orig_p": "93145"},
        {"id.orig_h": "10.0.0.256"},
        {"orig_bytes": "1" * 30},
        {"orig_pkts": "-4"},
        {"history": "\x1b[2J"},
        {"proto": "banana"},
    ],
)
def test_a_bad_value_is_one_bad_line(cli: Cli, tmp_path: Path, change: dict[str, str]) -> None:
    path = tmp_path / "conn.log"
    path.write_text(tsv({**LINE, **change}, LINE))
    result = cli("import", path)
    assert result.code == 1
    assert "1 records stored, 0 duplicates, 1 bad" in result.err
    assert "\x1b" not in result.err


def test_a_truncated_last_line_is_a_bad_line(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "conn.log"
    path.write_text(tsv(LINE, LINE)[:-30])
    assert "1 records stored, 0 duplicates, 1 bad" in cli("import", path).err


def test_a_conn_log_that_names_no_addresses_is_not_one(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "dns.log"
    path.write_text("#separator \\x09\n#fields\tts\tuid\tquery\n1\t2\t3\n")
    assert "not in a known format" in cli("import", path).err


def independent_count(path: Path) -> tuple[int, int]:
    """Return (distinct good connections, bad lines) by a reading of the file that shares no code."""
    good: set[tuple[str, ...]] = set()
    bad = 0
    names: list[str] = []
    for line in path.read_text().splitlines():
        if line.startswith("#fields"):
            names = line.split("\t")[1:]
        if line.startswith("#") or not line.strip():
            continue
        try:
            values = json.loads(line) if line.startswith("{") else dict(zip(names, line.split("\t"), strict=True))
            float(values["ts"])
            assert 0 <= int(values["id.orig_p"]) < 65536
            assert 0 <= int(values["id.resp_p"]) < 65536
            key = tuple(str(values[name]) for name in ("uid", "ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p"))
        except (ValueError, KeyError, AssertionError):
            bad += 1
        else:
            good.add(key)
    return len(good), bad


@pytest.mark.shared
def test_every_log_of_the_collection_is_counted_right(shared_dir: Path, tmp_path: Path) -> None:
    logs = sorted((shared_dir / "data" / "e_flowlogs").glob("*/*conn*log*"))
    assert len(logs) > 8
    for number, path in enumerate(logs):
        good, bad = independent_count(path)
        headed = any(line.startswith(("#fields", "{")) for line in path.read_text().splitlines())
        cli = Cli(tmp_path / f"{number}.db")
        result = cli("import", path)
        assert "Traceback" not in result.err, path
        if not headed:
            assert "not in a known format" in result.err, path
            continue
        said = result.err.splitlines()[-1]
        stored, _, counted_bad = (int(part.split()[0]) for part in said.split(", ")[:3])
        assert (stored, counted_bad) == (good, bad), path
        assert result.code == (1 if bad else 0), path
