"""A short run of scripts/chaos, and a link that breaks between two network namespaces."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from netns import wire
from programs import AS_ROOT, CORRELATOR, SENSOR, run, running
from rec_router import until

CHAOS = Path(__file__).parents[1] / "support/chaos.py"
RELAY = Path(__file__).parents[1] / "support/relay.py"
PORT = "5690"


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_counted_twice_whatever_is_killed_cut_and_filled(repo_root: Path) -> None:
    command = [sys.executable, str(CHAOS), "--seed", "4", "--kills", "12", "--flows", "5000", "--seconds", "20"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=58, check=False, cwd=repo_root,
        env={**os.environ, "PYTHONPATH": str(repo_root)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n| **lost** | 0 |\n| **not from a spool** | 0 |\n| **in a spool twice** | 0 |\n" in done.stdout


def stored(db: Path) -> str:
    return run(CORRELATOR, "summary", "--db", str(db), "--json", "--protocol", "all")[1].decode()


def test_a_link_that_breaks_before_the_acknowledgement_loses_nothing_and_stores_nothing_twice(
    data_dir: Path, tmp_path: Path
) -> None:
    db, spool, config = tmp_path / "a.db", tmp_path / "spool", tmp_path / "sensor.toml"
    config.write_text("[ship]\nresend_s = 0.5\nresend_max_s = 1\ngive_up_s = 40\n")
    relay = sys.executable, str(RELAY), PORT
    with wire() as pair:
        pair.address()
        ship = ("--ship", f"tcp://127.0.0.1:{PORT}", "--plaintext", "--spool", str(spool), "--config", str(config))
        serve = (CORRELATOR, "--db", str(db), "serve", "--plaintext", "--bind", f"tcp://127.0.0.1:{PORT}")
        with (
            running(*pair.on_tap(*serve)) as correlator,
            subprocess.Popen(
                pair.on_tap(*relay, "127.0.0.1", PORT, "198.51.100.2"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as here,
            subprocess.Popen(
                pair.on_talker(*relay, "198.51.100.2", PORT), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            ) as there,
        ):
            correlator.wait_for("listening on")
            for process in (here, there):
                assert process.stdout is not None
                assert process.stdout.readline().startswith(b"listening")
            correlator.process.send_signal(signal.SIGSTOP)
            with running(*pair.on_talker(SENSOR, "read", str(data_dir / "demo.pcap"), *ship, *AS_ROOT)) as sensor:
                sensor.wait_for("records 76")
                assert list(spool.glob("*.flowlog"))
                pair.set("link", "set", pair.tap, "down")
                correlator.process.send_signal(signal.SIGCONT)
                assert sensor.process.poll() is None
                pair.set("link", "set", pair.tap, "up")
                assert sensor.process.wait(40) == 0
            assert list(spool.glob("*.flowlog")) == []
            assert correlator.stop() == 0
            for process in (here, there):
                process.kill()
    until(lambda: '"connections": 69' in stored(db), lambda: None)
