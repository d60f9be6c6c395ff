"""check-config and dump-config."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.settings import load_settings
from sensor.cli import main
from sensor.config import SensorConfig


def test_the_dump_reads_back_to_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "tap-9"\n[flow]\nhome = ["10.0.0.0/8"]\nactive_timeout_s = 2.5\n')
    dumped = CliRunner().invoke(main, ["dump-config", "--config", str(path)])
    again = tmp_path / "b.toml"
    again.write_text(dumped.output)
    assert load_settings(again, SensorConfig) == load_settings(path, SensorConfig)


def test_the_example_is_valid_and_changes_nothing() -> None:
    example = CliRunner().invoke(main, ["dump-config", "--example"])
    assert tomllib.loads(example.output).keys() == {
        "capture",
        "flow",
        "inspect",
        "http",
        "alarm",
        "statistics",
        "log",
        "ship",
        "metrics",
    }


def test_a_good_file_passes_the_check(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[alarm]\nbytes = 5\n")
    assert CliRunner().invoke(main, ["check-config", str(path)]).exit_code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "[flow]\nactive_timout_s = 3\n",
            "unknown key [flow] 'active_timout_s'; the nearest known key is 'active_timeout_s'",
        ),
        ("[alarm]\nbytes = -1\n", "alarm.bytes: expected int >= 0"),
        ("[flow]\nmax_flows = 'many'\n", "flow.max_flows: expected int, got str"),
        ("[flow\n", "is not valid TOML"),
        ("[flow]\nhome = ['10.0.0.0/99']\n", "bad home network"),
        ('name = "tap\\u001b"\n', "printable"),
        ("[ship]\nendpoint = 'tcp://127.0.0.1:1'\n", "no public key of the correlator at"),
        ("[ship]\nendpoint = 'tcp://192.0.2.1:1'\nplaintext = true\n", "would leave this host"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    result = CliRunner().invoke(main, ["check-config", str(path)])
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.splitlines()) == 1
