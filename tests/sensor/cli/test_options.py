"""The options' effect on the settings: defaults, then the file, then the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from sensor.cli.options import effective_config, make_run
from sensor.config import SensorConfig


def test_nothing_given_is_the_defaults() -> None:
    assert effective_config({}) == SensorConfig()


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('name = "file"\n[alarm]\nbytes = 1\npackets = 2\n[flow]\nhome = ["10.0.0.0/8"]\n')
    config = effective_config({"config_path": path, "alarm_bytes": 9, "name": "line", "home": ("192.0.2.0/24",)})
    assert (config.name, config.alarm.bytes, config.alarm.packets) == ("line", 9, 2)
    assert config.flow.home == ("192.0.2.0/24",)


def test_zero_on_the_command_line_switches_off_what_the_file_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[flow]\nactive_timeout_s = 5\n[statistics]\ninterval_s = 5\n")
    config = effective_config({"config_path": path, "active_timeout": 0.0, "interval": 0.0})
    assert (config.flow.active_timeout_s, config.statistics.interval_s) == (0, 0)


def test_a_name_that_a_terminal_could_stumble_over_is_refused() -> None:
    with pytest.raises(UserError, match="printable"):
        effective_config({"name": "tap\x1b[31m"})


def test_a_binary_flow_log_is_not_written_to_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    options = {"verbose": False, "level": 1, "path": "-", "format_name": None}
    with pytest.raises(UserError, match="standard output is a terminal"):
        make_run(options, SensorConfig())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which becomes another user")
def test_what_later_steps_import_is_there_before_root_becomes_a_user_without_a_way_to_it() -> None:
    code = (
        "import sys; from sensor.cli.options import user_to_run_as; "
        "user_to_run_as({'user': None, 'verbose': False, 'level': 0}); "
        "sys.exit('dpkt.ssl_ciphersuites' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
