"""The settings of outputs: off by default, and refused in one line where they cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.settings import load_settings
from correlator.config import Settings
from correlator.notify.dispatcher import outputs
from correlator.notify.settings import OutputSettings


def test_everything_is_off_by_default() -> None:
    assert outputs(OutputSettings()) == []


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ('[outputs.syslog]\naddress = "192.0.2.9"', "not an address of a syslog collector"),
        ('[outputs.syslog]\nfacility = "kern"', "facility is 'kern'; it is one of"),
        ('[outputs.webhook]\nurl = "file:///etc/passwd"', "not the address of a webhook"),
        ('[outputs.hook]\ncommand = ["page"]', "command is 'page'; write the program's whole path"),
        ("[outputs.hook]\nat_once = 0", "at_once"),
        ('[outputs.file]\nseverity = "dire"', "severity"),
        ("[outputs]\nroom = 0", "room"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, text: str, fact: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, Settings)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)
