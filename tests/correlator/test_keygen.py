"""The correlator's key pair, and a service that is reached with keys only."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, header
from corr_link import Correlator, Sensor, serving

from common.keys import KeyPair, is_key, make_key_pair, read_key_file, write_key_file
from common.link import ACK, REFUSED, WELCOME

TAP = make_key_pair()
OTHER = make_key_pair()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "correlator.key"
    write_key_file(path)
    return path


def public(key: Path) -> str:
    return read_key_file(key, "keygen").public


def sensor(correlator: Correlator, own: KeyPair, key: Path) -> Sensor:
    return Sensor(correlator.endpoint, own, public(key))


def count(db: Path, table: str) -> int:
    conn = sqlite3.connect(f"file:{db}?mode=ro", uri=True)
    try:
        return int(conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    finally:
        conn.close()


class TestKeygen:
    def test_the_public_key_is_printed_and_the_next_command_said(self, cli: Cli, tmp_path: Path) -> None:
        result = cli("keygen", tmp_path / "c.key")
        assert result.code == 0
        key = result.out.strip()
        assert is_key(key)
        assert key == public(tmp_path / "c.key")
        assert f"wrote {tmp_path}/c.key; next, on each sensor:" in result.err
        assert f"--correlator-key {key}" in result.err.replace("'", "")

    def test_the_settings_say_where_and_which_address(self, cli: Cli, tmp_path: Path) -> None:
        config = tmp_path / "c.toml"
        config.write_text(f'[serve]\nkey = "{tmp_path}/k"\nbind = "tcp://192.0.2.1:99"\n')
        result = cli("--config", config, "keygen")
        assert (tmp_path / "k").exists()
        assert "check-link --ship tcp://192.0.2.1:99 --correlator-key" in result.err

    def test_an_existing_file_is_one_line_and_stays(self, cli: Cli, key: Path) -> None:
        before = key.read_bytes()
        result = cli("keygen", key)
        assert result.code == 1
        assert len(result.err.splitlines()) == 1
        assert key.read_bytes() == before


class TestServe:
    def test_a_sensor_with_an_added_key_is_served(self, db: Path, cli: Cli, key: Path) -> None:
        cli("sensors", "add", "tap", TAP.public)
        with serving(db, key=key) as correlator, sensor(correlator, TAP, key) as tap:
            assert f"public key is {public(key)}; 1 keys of sensors" in correlator.line_with("public key")
            assert tap.hello(header()).kind == WELCOME
            tap.send(batch([flow(1)], 1))
            assert tap.answer().kind == ACK
            assert correlator.stop() == 0
        assert count(db, "flow_records") == 1

    def test_a_key_added_while_it_runs_is_let_in_and_one_revoked_is_heard_no_more(
        self, db: Path, cli: Cli, key: Path
    ) -> None:
        with serving(db, key=key) as correlator:
            with sensor(correlator, TAP, key) as tap:
                tap.say_hello(header())
                line = correlator.line_with("not let in")
                assert TAP.public in line
                assert "tunnelwatch sensors add NAME" in line
            cli("sensors", "add", "tap", TAP.public)
            with sensor(correlator, TAP, key) as tap:
                assert tap.hello(header()).kind == WELCOME
                tap.send(batch([flow(1)], 1))
                assert tap.answer().kind == ACK
                cli("sensors", "revoke", "tap")
                tap.send(batch([flow(2)], 2))
                assert tap.hears_nothing()
            assert correlator.stop() == 0
            account = correlator.line_with("stopped")
        assert "1 message_of_revoked_key" in account
        assert "unknown_key" in account
        assert count(db, "flow_records") == 1

    def test_a_sensor_cannot_speak_as_another(self, db: Path, cli: Cli, key: Path) -> None:
        cli("sensors", "add", "tap", TAP.public)
        cli("sensors", "add", "roof", OTHER.public)
        with serving(db, key=key) as correlator, sensor(correlator, TAP, key) as tap:
            answer = tap.hello(header("roof"))
            assert (answer.kind, answer.sequence) == (REFUSED, 0)
            assert "'tap'" in answer.reason
            assert "'roof'" in answer.reason
            tap.send(batch([flow(1)], 1, sensor="roof"))
            assert tap.hello(header("tap")).kind == WELCOME
            tap.send(batch([flow(1)], 1, sensor="roof"))
            assert tap.answer().kind == REFUSED
            assert correlator.stop() == 0
            assert "1 foreign_sensor" in correlator.line_with("stopped")
        assert count(db, "flow_records") == 0

    def test_a_hello_alone_leaves_no_trace_in_the_store(self, db: Path, cli: Cli, key: Path) -> None:
        cli("sensors", "add", "tap", TAP.public)
        with serving(db, key=key) as correlator, sensor(correlator, TAP, key) as tap:
            tap.hello(header())
            tap.ping()
            assert correlator.stop() == 0
        assert [count(db, table) for table in ("sensors", "sensor_runs", "flow_records")] == [0, 0, 0]

    def test_whoever_has_no_key_gets_nothing(self, db: Path, cli: Cli, key: Path) -> None:
        cli("sensors", "add", "tap", TAP.public)
        with serving(db, key=key) as correlator, Sensor(correlator.endpoint) as plain:
            plain.say_hello(header())
            assert plain.hears_nothing()
            with sensor(correlator, OTHER, key) as stranger:
                stranger.say_hello(header())
                assert stranger.hears_nothing()
            with sensor(correlator, TAP, key) as tap:
                assert tap.hello(header()).kind == WELCOME

    def test_keys_work_over_ipc_and_off_loopback_too(self, db: Path, cli: Cli, key: Path, tmp_path: Path) -> None:
        cli("sensors", "add", "tap", TAP.public)
        for bind in (f"ipc://{tmp_path}/s", "tcp://0.0.0.0:*"):
            with serving(db, bind=bind, key=key) as correlator:
                correlator.endpoint = correlator.endpoint.replace("0.0.0.0", "127.0.0.1")
                with sensor(correlator, TAP, key) as tap:
                    assert tap.hello(header()).kind == WELCOME
