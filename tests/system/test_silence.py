"""A sensor that is killed while it captures is missed, and one that is retired is not."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

import pytest
from corr_cli import Cli
from programs import AS_ROOT, CORRELATOR, SENSOR, running
from rec_router import until

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to capture"),
]


def pause() -> None:
    """Leave the processor to the programs that are waited for."""
    select.select([], [], [], 0.1)


def test_a_sensor_that_is_killed_is_missed_until_it_is_retired_or_back(tmp_path: Path) -> None:
    db, endpoint = tmp_path / "a.db", f"ipc://{tmp_path}/link"
    watch, tap = tmp_path / "correlator.toml", tmp_path / "sensor.toml"
    watch.write_text("[sensors]\nsilent_after_s = 5\n")
    tap.write_text('name = "tap-1"\n[ship]\nheartbeat_s = 1\nplaintext = true\n')
    serve = (CORRELATOR, "--db", str(db), "--config", str(watch), "serve", "--plaintext", "--bind", endpoint)
    capture = (
        SENSOR, "capture", "-i", "lo", "--config", str(tap), "--ship", endpoint, "--spool", str(tmp_path / "spool"),
        *AS_ROOT, "udp port 9",
    )  # fmt: skip
    cli = Cli(db)
    with running(*serve) as correlator:
        correlator.wait_for("listening on ")
        with running(*capture) as sensor:
            sensor.wait_for("listening on ")
            # Its first statistics come after a second; killed before that, nobody would know of it.
            until(lambda: db.exists() and cli("sensors", "--json").out.count("tap-1"), pause)
            assert [row["state"] for row in cli.json("sensors", "--config", watch)] == ["ok"]
            sensor.process.send_signal(signal.SIGKILL)
            sensor.process.wait(10)
        correlator.wait_for("alarm: sensor tap-1: silent for ", timeout=40)
        (alarm,) = cli.json("alarms")
        assert (alarm["kind"], alarm["sensor"], alarm["severity"]) == ("sensor", "tap-1", "high")
        assert [row["state"] for row in cli.json("sensors", "--config", watch)] == ["silent"]
        assert cli("alarms", "--fail-on", "high").code == 3
        assert cli("sensors", "retire", "tap-1").code == 0
        assert [row["state"] for row in cli.json("sensors")] == ["retired"]
        with running(*capture) as sensor:
            sensor.wait_for("listening on ")
            until(lambda: cli.json("sensors")[0]["state"] == "ok", pause)
            assert sensor.stop() == 0
        assert correlator.stop() == 0
