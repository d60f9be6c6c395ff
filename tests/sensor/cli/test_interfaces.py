"""``tunnelwatch-sensor interfaces``."""

from __future__ import annotations

from click.testing import CliRunner

from sensor.cli import main


def test_the_loopback_is_listed() -> None:
    assert "lo" in CliRunner().invoke(main, ["interfaces"]).output.splitlines()
