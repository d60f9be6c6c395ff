from __future__ import annotations

import shlex

from click.testing import CliRunner

from common.keys import is_key, read_key_file
from sensor.cli import main


def keygen(*arguments):
    return CliRunner().invoke(main, ["keygen", *map(str, arguments)], catch_exceptions=False)


def test_the_public_key_is_printed_and_the_correlators_command_said(tmp_path):
    result = keygen(tmp_path / "a.key", "--sensor", "tap 1")
    assert result.exit_code == 0
    key = result.stdout.strip()
    assert is_key(key)
    assert key == read_key_file(tmp_path / "a.key", "keygen").public
    assert shlex.split(result.stderr.splitlines()[1]) == ["tunnelwatch", "sensors", "add", "tap 1", key]


def test_the_settings_say_where_and_by_which_name(tmp_path):
    config = tmp_path / "s.toml"
    config.write_text(f'name = "roof"\n[ship]\nkey = "{tmp_path}/k"\n')
    result = keygen("--config", config)
    assert (tmp_path / "k").exists()
    assert "sensors add roof" in result.stderr


def test_a_second_time_is_one_line(tmp_path):
    keygen(tmp_path / "a.key")
    result = keygen(tmp_path / "a.key")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "exists and is not written over; its public key is" in result.stderr
