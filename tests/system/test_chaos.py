"""A short run of scripts/chaos, and a link that breaks between two network namespaces."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from corr_cli import Cli
from netns import Wire, wire
from programs import AS_ROOT, CORRELATOR, SENSOR, run, running
from rec_router import until

from common.keys import write_key_file

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


DROP_ONE_IN_TEN = (
    "add table ip lossy",
    "add chain ip lossy in { type filter hook input priority 0 ; }",
    'add rule ip lossy in iifname "{tap}" numgen random mod 10 == 0 counter drop',
)


def drop_packets(pair: Wire) -> None:
    """Let one packet in ten that reaches the tap's end get lost."""
    if shutil.which("nft") is None:
        pytest.skip("needs nft to drop packets")
    for rule in DROP_ONE_IN_TEN:
        command = pair.on_tap("nft", rule.replace("{tap}", pair.tap))
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
        if done.returncode:
            pytest.skip(f"cannot drop packets here: {done.stderr.strip()}")


@pytest.mark.slow
@pytest.mark.parametrize("lossy", [False, True], ids=["delayed and cut", "delayed, cut and one packet in ten dropped"])
def test_a_relay_that_delays_and_drops_between_two_namespaces_costs_nothing(
    data_dir: Path, tmp_path: Path, lossy: bool
) -> None:
    """With keys. The relay is at the correlator's end; what is on the wire goes through it late, and is cut often."""
    db, spool, config = tmp_path / "a.db", tmp_path / "spool", tmp_path / "sensor.toml"
    config.write_text(
        "[log]\nbatch_records = 1\n[ship]\nresend_s = 1\nresend_max_s = 2\ngive_up_s = 40\nwindow_frames = 4\n"
    )
    correlator_key = write_key_file(tmp_path / "c.key").public
    cli = Cli(db)
    cli("sensors", "add", "tap", write_key_file(tmp_path / "s.key").public)
    serve = (CORRELATOR, "--db", str(db), "serve", "--key", str(tmp_path / "c.key"), "--bind", "tcp://127.0.0.1:5691")
    read = (
        SENSOR, "read", str(data_dir / "demo.pcap"), "--ship", f"tcp://198.51.100.2:{PORT}", "--sensor", "tap",
        "--key", str(tmp_path / "s.key"), "--correlator-key", correlator_key, "--spool", str(spool),
        "--config", str(config), *AS_ROOT,
    )  # fmt: skip

    def progress() -> int:
        rows = cli.json("sensors")
        return rows[0]["records_stored"] if rows else 0

    def more_than(before: int) -> bool:
        return progress() > before

    with wire() as pair:
        pair.address()
        if lossy:
            drop_packets(pair)
        relay = pair.on_tap(sys.executable, str(RELAY), PORT, "127.0.0.1", "5691", "198.51.100.2")
        with (
            running(*pair.on_tap(*serve)) as correlator,
            subprocess.Popen(relay, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as between,
        ):
            correlator.wait_for("listening on")
            assert between.stdin is not None
            assert between.stdout is not None
            assert between.stdout.readline().startswith("listening")

            def say(*words: str) -> None:
                assert between.stdin is not None
                between.stdin.write("".join(f"{word}\n" for word in words))
                between.stdin.flush()

            say("delay 0.1")
            with running(*pair.on_talker(*read)) as sensor:
                for words in (("cut",), ("shut", "cut", "open"), ("cut", "cut")):
                    until(partial(more_than, progress()), pause, "nothing more is stored")
                    assert sensor.process.poll() is None, sensor.lines
                    say(*words)
                assert sensor.process.wait(40) == 0, sensor.lines
            assert correlator.stop() == 0
            between.kill()
        if lossy:
            shown = run(*pair.on_tap("nft", "list", "table", "ip", "lossy"))[1].decode()
            dropped = re.search(r"counter packets (\d+)", shown)
            assert dropped is not None, shown
            assert int(dropped[1]) > 0
    assert sorted(path.name for path in spool.iterdir()) == ["lock", "run"]
    (row,) = cli.json("sensors")
    assert (row["records_stored"], row["frames_missing"], row["records_refused"]) == (76, 0, 0)
    assert cli.json("summary", "--protocol", "all")["connections"] == 69


def pause() -> None:
    """Leave the processor to the programs that are waited for."""
    select.select([], [], [], 0.05)
