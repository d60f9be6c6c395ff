"""Both programs as a user runs them: a capture goes in at the sensor, views and alarms come out."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
from netns import wire
from programs import AS_ROOT, CORRELATOR, SENSOR, error_line, run, running

VIEWS = (("clients",), ("servers",), ("periods",), ("top", "channels", "--by", "channel-uptime"))


def ask(db: Path, *command: str) -> Any:
    """Return what a view answers as JSON."""
    code, out, err = run(CORRELATOR, *command, "--db", str(db), "--json")
    assert code == 0, err
    return json.loads(out)


def figures(db: Path) -> list[Any]:
    """Every view over every protocol."""
    return [ask(db, *view, "--protocol", "all") for view in VIEWS]


def serve(db: Path, endpoint: str, *more: str) -> tuple[str, ...]:
    return CORRELATOR, "serve", "--plaintext", "--bind", endpoint, "--db", str(db), *more


def ship(endpoint: str, spool: Path) -> tuple[str, ...]:
    as_root = AS_ROOT if endpoint.startswith("ipc:") else ()
    return "--ship", endpoint, "--plaintext", "--spool", str(spool), *as_root


def test_shipped_imported_as_flow_log_and_as_ndjson_and_csv_give_the_same_views(data_dir: Path, tmp_path: Path) -> None:
    capture, endpoint = str(data_dir / "demo.pcap"), f"ipc://{tmp_path}/link"
    shipped = tmp_path / "shipped.db"
    with running(*serve(shipped, endpoint)) as correlator:
        correlator.wait_for("listening on")
        assert run(SENSOR, "read", capture, *ship(endpoint, tmp_path / "spool"))[0] == 0
        assert correlator.stop() == 0
    reference = figures(shipped)
    assert sum(client["connections"] for client in reference[0]) == 69
    for name in ("a.flowlog", "a.ndjson", "a.csv"):
        imported = tmp_path / f"{name}.db"
        assert run(SENSOR, "read", capture, "-w", str(tmp_path / name))[0] == 0
        code, _, err = run(CORRELATOR, "import", str(tmp_path / name), "--db", str(imported))
        assert code == 0, err
        assert figures(imported) == reference, name


def test_a_flow_log_may_come_through_a_pipe(data_dir: Path, tmp_path: Path) -> None:
    _, out, _ = run(SENSOR, "read", str(data_dir / "demo.pcap"), "-w", "-")
    code, _, err = run(CORRELATOR, "import", "-", "--db", str(tmp_path / "a.db"), stdin=out)
    assert code == 0, err
    assert ask(tmp_path / "a.db", "summary")["connections"] == 69


def test_the_zeek_log_that_the_sensor_writes_is_imported_with_the_same_totals(data_dir: Path, tmp_path: Path) -> None:
    for name, log in (("zeek", "conn.log"), ("own", "a.flowlog")):
        run(SENSOR, "read", str(data_dir / "demo.pcap"), "-w", str(tmp_path / log), "--active-timeout", "0")
        assert run(CORRELATOR, "import", str(tmp_path / log), "--db", str(tmp_path / f"{name}.db"))[0] == 0
    totals = ("client", "services", "connections", "packets_out", "packets_in", "bytes_out", "bytes_in")
    zeek, own = (
        [[row[key] for key in totals] for row in ask(tmp_path / f"{name}.db", "clients", "--sort", "client")]
        for name in ("zeek", "own")
    )
    assert zeek == own


def test_an_open_flow_over_the_limit_raises_an_alarm_before_it_closes(data_dir: Path, tmp_path: Path) -> None:
    config = tmp_path / "correlator.toml"
    config.write_text("[thresholds.flow]\nduration_s = 100\n")
    endpoint = f"ipc://{tmp_path}/link"
    with running(*serve(tmp_path / "a.db", endpoint, "--config", str(config))) as correlator:
        correlator.wait_for("listening on")
        run(SENSOR, "read", str(data_dir / "demo.pcap"), "-y", "100", *ship(endpoint, tmp_path / "spool"))
        correlator.stop()
    alarms = ask(tmp_path / "a.db", "alarms")
    tunnel = [alarm for alarm in alarms if alarm["client"] == "10.1.1.46"]
    assert {alarm["kind"] for alarm in tunnel} == {"flow-threshold", "sensor-threshold"}
    assert all("10.1.1.1:3128" in alarm["message"] for alarm in tunnel)
    assert run(CORRELATOR, "alarms", "--db", str(tmp_path / "a.db"), "--fail-on", "low")[0] == 3


def test_what_a_sensor_could_not_ship_stays_in_its_spool_for_the_next_run(data_dir: Path, tmp_path: Path) -> None:
    capture, endpoint, spool = str(data_dir / "demo.pcap"), f"ipc://{tmp_path}/link", tmp_path / "spool"
    config = tmp_path / "sensor.toml"
    config.write_text("[ship]\ngive_up_s = 0.2\n")
    code, _, err = run(SENSOR, "read", capture, *ship(endpoint, spool), "--config", str(config))
    assert code == 1
    assert "the next run with this spool sends them" in error_line(err)
    assert list(spool.glob("*.flowlog"))
    empty = tmp_path / "empty.pcap"
    empty.write_bytes(Path(capture).read_bytes()[:24])
    with running(*serve(tmp_path / "a.db", endpoint)) as correlator:
        correlator.wait_for("listening on")
        assert run(SENSOR, "read", str(empty), *ship(endpoint, spool))[0] == 0
        correlator.stop()
    assert ask(tmp_path / "a.db", "summary")["connections"] == 69
    assert list(spool.glob("*.flowlog")) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_correlator_that_restarts_gets_everything_once(data_dir: Path, tmp_path: Path, number: int) -> None:
    endpoint, spool, db = f"ipc://{tmp_path}/link", tmp_path / "spool", tmp_path / "a.db"
    config = tmp_path / "sensor.toml"
    # Small frames, so that the kill falls between many of them.
    config.write_text("[ship]\nresend_s = 0.2\nwindow_frames = 2\n[log]\nbatch_records = 2\n")
    arguments = ("read", str(data_dir / "demo.pcap"), *ship(endpoint, spool), "--config", str(config))
    with running(*serve(db, endpoint)) as first:
        first.wait_for("listening on")
        with running(SENSOR, *arguments) as sensor:
            sensor.wait_for("packets 7443")
            first.stop(number)
            with running(*serve(db, endpoint)) as second:
                second.wait_for("listening on")
                assert sensor.process.wait(30) == 0
                second.stop()
    run(SENSOR, "read", str(data_dir / "demo.pcap"), "-w", str(tmp_path / "a.flowlog"))
    run(CORRELATOR, "import", str(tmp_path / "a.flowlog"), "--db", str(tmp_path / "b.db"))
    assert figures(db) == figures(tmp_path / "b.db")


@pytest.mark.live
def test_live_traffic_is_in_the_views_while_the_sensor_runs(data_dir: Path, tmp_path: Path) -> None:
    endpoint, db = "tcp://127.0.0.1:5690", tmp_path / "a.db"
    spool = Path(tempfile.mkdtemp())  # pytest's own directories are closed to other users
    spool.chmod(0o755)
    spool /= "spool"
    with wire() as pair, running(*pair.on_tap(*serve(db, endpoint))) as correlator:
        correlator.wait_for("listening on")
        # As somebody who may write nothing but the spool, which root made.
        command = (SENSOR, "capture", "-i", pair.tap, "-u", "nobody", *ship(endpoint, spool), "tcp")
        with running(*pair.on_tap(*command)) as sensor:
            sensor.wait_for("listening on")
            pair.send(data_dir / "demo.pcap")
            assert sensor.stop() == 0
        assert ask(db, "summary")["connections"] == 69
        (row,) = ask(db, "sensors")
        assert row["stats"]["packets"] == row["stats"]["accepted"] == 7423
        correlator.stop()
