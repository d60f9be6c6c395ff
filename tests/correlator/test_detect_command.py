"""``detect`` on the command line, and what import does by itself."""

from __future__ import annotations

from pathlib import Path

from corr_cli import Cli
from corr_flows import batch, flow, flow_log


def _log(folder: Path) -> Path:
    path = folder / "x.flowlog"
    path.write_bytes(flow_log([batch([flow(1, length_s=5 * 3600), flow(2)], 1)]))
    return path


def _eager(folder: Path, more: str = "") -> Path:
    path = folder / "c.toml"
    path.write_text(f"[detect]\nprior = 0.005\n{more}")
    return path


def test_import_looks_for_tunnels_and_detect_finds_nothing_new(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "x.db")
    result = cli("import", "--config", _eager(tmp_path), _log(tmp_path))
    assert "new alarms" in result.err
    kinds = {alarm["kind"] for alarm in cli.json("alarms")}
    assert "channel" in kinds
    assert cli("detect", "--config", _eager(tmp_path)).err == "0 records looked at, 0 new alarms\n"


def test_detect_all_counts_changed_settings_for_the_past(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "x.db")
    cli("import", "--config", _eager(tmp_path, "enabled = false\n"), _log(tmp_path))
    assert "channel" not in {alarm["kind"] for alarm in cli.json("alarms")}
    assert cli("detect", "--all", "--config", _eager(tmp_path)).err == "2 records looked at, 1 new alarms\n"
    (alarm,) = [alarm for alarm in cli.json("alarms") if alarm["kind"] == "channel"]
    assert {item["symptom"] for item in alarm["evidence"]} >= {"long-connection", "prior"}
