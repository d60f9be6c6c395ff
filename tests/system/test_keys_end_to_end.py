"""Both programs with keys, as the how-to in docs/keys.md has it: every command, nothing on plain text."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from programs import AS_ROOT, CORRELATOR, SENSOR, error_line, run, running


def test_the_how_to_leads_from_no_keys_to_stored_records(data_dir: Path, tmp_path: Path) -> None:
    db, capture = str(tmp_path / "a.db"), str(data_dir / "demo.pcap")
    code, correlator_key, _ = run(CORRELATOR, "keygen", str(tmp_path / "c.key"))
    assert code == 0
    (tmp_path / "c.pub").write_bytes(correlator_key)
    code, _, next_command = run(SENSOR, "keygen", str(tmp_path / "s.key"), "--sensor", "tap-1")
    assert code == 0
    with running(
        CORRELATOR, "--db", db, "serve", "--key", str(tmp_path / "c.key"), "--bind", "tcp://127.0.0.1:*"
    ) as it:
        endpoint = it.wait_for("listening on").removeprefix("listening on ")
        assert correlator_key.decode().strip() in it.wait_for("public key")
        settings = tmp_path / "sensor.toml"
        settings.write_text(
            f'name = "tap-1"\n[ship]\nendpoint = "{endpoint}"\nspool = "{tmp_path}/spool"\n'
            f'key = "{tmp_path}/s.key"\ncorrelator_key = "{tmp_path}/c.pub"\ngive_up_s = 3\n'
        )
        read = (SENSOR, "read", capture, "--config", str(settings), *AS_ROOT)
        code, _, err = run(SENSOR, "check-link", "--config", str(settings))
        assert code == 1
        assert "tunnelwatch sensors add tap-1" in error_line(err)
        code, _, err = run(*read)
        assert code == 1
        assert "does not know this sensor's key" in err
        assert "the next run with this spool sends them" in err

        # The line that keygen printed, word for word, but for the database.
        program, *words = shlex.split(next_command.splitlines()[1])
        assert program == "tunnelwatch"
        assert run(CORRELATOR, "--db", db, *words)[0] == 0
        code, out, _ = run(SENSOR, "check-link", "--config", str(settings))
        assert code == 0
        assert out.decode().startswith(f"{endpoint} takes records of tap-1: round trip ")
        assert run(*read)[0] == 0
        assert it.stop() == 0
    _, out, _ = run(CORRELATOR, "--db", db, "sensors", "--json")
    (row,) = json.loads(out)
    # Both runs: what the first one could not send waited in the spool.
    assert (row["sensor"], row["runs"], row["records_refused"]) == ("tap-1", 2, 0)


def test_a_running_sensor_says_within_seconds_that_the_correlators_key_is_wrong(data_dir: Path, tmp_path: Path) -> None:
    db = str(tmp_path / "a.db")
    for program, name in ((CORRELATOR, "c.key"), (CORRELATOR, "another.key"), (SENSOR, "s.key")):
        code, public, _ = run(program, "keygen", str(tmp_path / name))
        assert code == 0
        (tmp_path / f"{name}.pub").write_bytes(public)
    (tmp_path / "sensor.toml").write_text("[ship]\ngive_up_s = 20\n")
    assert run(CORRELATOR, "--db", db, "sensors", "add", "tap-1", str(tmp_path / "s.key.pub"))[0] == 0
    serve = (CORRELATOR, "--db", db, "serve", "--key", str(tmp_path / "c.key"), "--bind", "tcp://127.0.0.1:*")
    with running(*serve) as correlator:
        endpoint = correlator.wait_for("listening on").removeprefix("listening on ")
        ship = (
            "--ship", endpoint, "--key", str(tmp_path / "s.key"), "--correlator-key", str(tmp_path / "another.key.pub"),
            "--sensor", "tap-1", "--spool", str(tmp_path / "spool"), "--config", str(tmp_path / "sensor.toml"),
        )  # fmt: skip
        with running(SENSOR, "read", str(data_dir / "demo.pcap"), *ship, *AS_ROOT) as sensor:
            line = sensor.wait_for("correlator_key is not its key", timeout=10)
            assert endpoint in line
        assert correlator.stop() == 0
