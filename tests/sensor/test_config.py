from __future__ import annotations

import re
import tomllib
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from common.errors import ConfigError
from common.flowlog import MAX_BATCH_RECORDS
from common.kinds import UINT63_MAX
from common.settings import checked_settings, dump_settings
from sensor.config import SensorConfig

EXAMPLE = files("sensor").joinpath("example.toml").read_text(encoding="utf-8")
# Two settings have no default that could be shown; the example shows a likely value.
EXAMPLES = {"name": "tap-1", "flow.home": ["10.0.0.0/8", "fd00::/8"]}


def checked(text: str) -> SensorConfig:
    return checked_settings(tomllib.loads(text), SensorConfig, "sensor.toml")


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for key, value in table.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value})
    return found


def test_the_example_as_it_stands_changes_nothing():
    assert checked(EXAMPLE) == SensorConfig()


def test_the_example_names_every_setting_with_its_default():
    uncommented = re.sub(r"^# ([a-z_]+ = )", r"\1", EXAMPLE, flags=re.MULTILINE)
    shown = flat(tomllib.loads(uncommented))
    assert shown == {**flat(msgspec.to_builtins(SensorConfig())), **EXAMPLES}
    checked(uncommented)


def test_the_settings_in_effect_can_be_read_back():
    config = checked(
        'name = "tap \\u007f 2"\n[flow]\nhome = ["10.0.0.0/8"]\nactive_timeout_s = 0.25\n[ship]\nplaintext = true'
    )
    assert checked(dump_settings(config)) == config


@pytest.mark.parametrize(
    "text",
    [
        "[capture]\nsnap_length_bytes = 95", "[capture]\nbuffer_bytes = 1", "[capture]\npromiscuous = 1",
        "[flow]\nactive_timeout_s = -1", "[flow]\nactive_timeout_s = inf", "[flow]\ntcp_timeout_s = 0",
        "[flow]\ntcp_timeout_s = nan", "[flow]\nactive_timeout_s = nan", "[flow]\nmax_flows = 0",
        "[flow]\nhome = '10.0.0.0/8'", "[alarm]\nbytes = -1", "[alarm]\nbytes = 99999999999999999999",
        "[alarm]\npackets = 1.5", "[alarm]\nduration_s = 1e99", "[log]\nbatch_records = 0",
        f"[log]\nbatch_records = {MAX_BATCH_RECORDS + 1}", "[log]\nflush_s = 0", "[ship]\nwindow_frames = 0",
        "[ship]\nspool_max_bytes = 1", "[ship]\nsegment_bytes = 99999999999999999999", "[ship]\nresend_s = 0",
        "name = ''", "name = 1", f"name = '{'x' * 65}'", "[alarms]\nbytes = 1",
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_in_one_line(text):
    with pytest.raises(ConfigError) as caught:
        checked(text)
    assert "\n" not in str(caught.value)


def test_every_number_in_the_settings_fits_the_flow_tables_64_bits():
    for name in ("alarm.bytes", "alarm.packets"):
        section, key = name.split(".")
        with pytest.raises(ConfigError):
            checked(f"[{section}]\n{key} = {UINT63_MAX}")
        checked(f"[{section}]\n{key} = {1 << 62}")


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        SensorConfig().flow.max_flows = 1  # type: ignore[misc]


def test_the_name_is_the_hosts_unless_it_is_given(monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "somewhere")
    assert checked("").name in ("somewhere", SensorConfig().name)
    assert checked('name = "tap-1"').name == "tap-1"
