"""The units for systemd: well formed, confined, and started with options that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = ("tunnelwatch-sensor@.service", "tunnelwatch-correlator.service")
MOST_EXPOSED = 2.0
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def analyzed(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=50, check=False
    )


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, repo_root: Path) -> Path:
    return repo_root / "packaging/systemd" / str(request.param)


@needs_systemd
def test_a_unit_is_verified(unit: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("tunnelwatch", "tunnelwatch-sensor"):
        (programs / name).symlink_to("/bin/true")
    copy = tmp_path / unit.name.replace("@", "@eth0")
    copy.write_text(unit.read_text().replace("/opt/tunnelwatch/bin", str(programs)))
    result = analyzed("verify", copy)
    assert (result.returncode, result.stdout + result.stderr) == (0, "")


@needs_systemd
def test_a_unit_exposes_little(unit: Path) -> None:
    result = analyzed("security", "--offline=true", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot judge a file: {result.stderr.strip() or result.stdout[:200]}")
    assert float(found[1]) < MOST_EXPOSED


def test_only_the_sensor_has_a_capability_and_it_is_the_one_to_capture(repo_root: Path) -> None:
    texts = {name: (repo_root / "packaging/systemd" / name).read_text() for name in UNITS}
    sets = {
        name: re.findall(r"^(?:CapabilityBoundingSet|AmbientCapabilities)=(.*)$", texts[name], re.MULTILINE)
        for name in UNITS
    }
    assert sets == {UNITS[0]: ["CAP_NET_RAW"] * 2, UNITS[1]: ["", ""]}
    families = {name: re.findall(r"^RestrictAddressFamilies=(.*)$", texts[name], re.MULTILINE) for name in UNITS}
    assert "AF_PACKET" in families[UNITS[0]][0]
    assert "AF_PACKET" not in families[UNITS[1]][0]


def test_a_unit_starts_what_the_command_line_knows(unit: Path, repo_root: Path) -> None:
    known = (repo_root / "docs/reference/cli.md").read_text()
    used = set(re.findall(r"(?<=\s)--[a-z-]+", _without_comments(unit)))
    if "--key" not in known:
        used.discard("--key")
    assert used
    assert {option for option in used if f"{option} " not in known} == set()


def _without_comments(unit: Path) -> str:
    return "\n".join(line for line in unit.read_text().splitlines() if not line.startswith("#"))
