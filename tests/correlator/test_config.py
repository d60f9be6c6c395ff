"""The configuration: its example, its defaults, its errors."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from corr_cli import Cli

from common.settings import dump_settings, load_settings
from correlator.cli.config import example
from correlator.config import Settings


def test_the_example_is_exactly_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "example.toml"
    path.write_text(example())
    assert load_settings(path, Settings) == Settings()


def keys(settings: type[msgspec.Struct], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found |= keys(field.type, f"{prefix}{field.name}.")
        else:
            found.add(prefix + field.name)
    return found


def test_the_example_has_every_key() -> None:
    section = ""
    found = set()
    for line in example().splitlines():
        if header := re.fullmatch(r"\[(.+)\]", line):
            section = header[1]
            found |= {section} & keys(Settings)  # names that the user gives are in it
        elif setting := re.match(r"(\w+) = ", line):
            found.add(f"{section}.{setting[1]}")
    assert found == keys(Settings)


def test_config_prints_what_reads_back_the_same(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[store]\nperiod_s = 900\n[thresholds.flow]\nseverity = 'critical'\n")
    printed = cli("--config", path, "config").out
    again = tmp_path / "again.toml"
    again.write_text(printed)
    assert load_settings(again, Settings) == load_settings(path, Settings)
    assert printed == dump_settings(load_settings(path, Settings))
    assert cli("config", "--config", path).out == printed


def test_config_example_prints_the_example(cli: Cli) -> None:
    assert cli("config", "--example").out == example()


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("[thresholds.flow]\nbites = 5\n", "unknown key [thresholds.flow] 'bites'; the nearest known key is 'bytes'"),
        ("[tresholds]\n", "the nearest known key is 'thresholds'"),
        ("[store]\nperiod_s = 7\n", "period_s"),
        ("[store]\nperiod_s = 3660\n", "whole minutes that divide a day"),
        ("[store]\nperiod_s = 60\nchannel_gap_s = 86400\n", "at most 168 periods of 60 s"),
        ("[store]\nchannel_gap_s = -1\n", "channel_gap_s"),
        ("[thresholds.flow]\nbytes = 'many'\n", "thresholds.flow.bytes: expected int, got str"),
        ("[thresholds.flow]\nseverity = 'awful'\n", "severity"),
        ("[store\n", "not valid TOML"),
    ],
)
@pytest.mark.parametrize("command", ["config", "serve", "import"])
def test_an_error_is_one_line_wherever_it_is_read(cli: Cli, tmp_path: Path, text: str, fact: str, command: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    result = cli("--config", path, command, *(["x"] if command == "import" else []))
    assert result.code == 1
    assert fact in result.err
    assert len(result.err.splitlines()) == 1


def test_a_configuration_that_is_missing_is_one_line(cli: Cli) -> None:
    assert "cannot read /no/such.toml" in cli("--config", "/no/such.toml", "config").err
