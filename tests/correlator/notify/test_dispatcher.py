"""Alarms told to every output that is configured, by the commands that raise them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log, header, parts
from corr_link import Sensor, serving
from fake_output import Fake
from notices import alarm, news
from rec_router import until
from web import status, web

from common.communityid import community_id
from common.records import FlowRecord
from correlator.detect.alarm import Severity
from correlator.detect.lists import Entry, ListKind
from correlator.notify.dispatcher import Dispatcher, Wanted
from correlator.notify.lane import Lane
from correlator.notify.output import OutputError
from correlator.store.alarms import store_alarms
from correlator.store.database import Store, immediate
from correlator.store.lists import add_entries

LIMITS = "[thresholds.flow]\nseverity = 'medium'\nbytes = 1000\n[detect]\nenabled = false\n"


def lane(output: Fake, room: int = 10, attempts: int = 1) -> Lane:
    return Lane(output, room=room, attempts=attempts, pause_s=0.001)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class TestDispatcher:
    def test_each_output_gets_what_is_severe_enough_for_it(self, store: Store) -> None:
        every, some = Fake(name="every"), Fake(name="some")
        dispatcher = Dispatcher(store, [Wanted(lane(every), Severity.LOW), Wanted(lane(some), Severity.HIGH)])
        dispatcher.start()
        dispatcher.tell([news(number, severity=severity) for number, severity in enumerate(Severity)])
        assert dispatcher.close(20) == []
        assert [one.severity for one in every.taken] == list(Severity)
        assert [one.severity for one in some.taken] == [Severity.HIGH, Severity.CRITICAL]

    def test_what_the_lists_hide_goes_nowhere(self, store: Store) -> None:
        add_entries(store.conn, [Entry(ListKind.WHITE, server="192.0.2.1")], 1)
        output = Fake()
        dispatcher = Dispatcher(store, [Wanted(lane(output), Severity.LOW)])
        dispatcher.start()
        dispatcher.tell([news(1), news(2)])
        dispatcher.close(20)
        assert [one.alarm["server"] for one in output.taken] == ["192.0.2.2:443"]

    def test_only_new_and_risen_alarms_are_told(self, store: Store) -> None:
        def told(**changes: Any) -> list[bool]:
            with immediate(store.conn):
                return [one.is_new for one in store_alarms(store.conn, [alarm(**changes)])]

        worse = (alarm().evidence[0]._replace(value=5000),)
        assert told() == [True]
        assert told() == []
        assert told(evidence=worse) == []
        assert told(evidence=worse, severity=Severity.HIGH) == [False]
        assert told(evidence=worse, severity=Severity.HIGH) == []
        with immediate(store.conn):
            (one,) = store_alarms(store.conn, [alarm(2), alarm(2, severity=Severity.HIGH)])
        assert (one.is_new, one.row.severity) == (True, "high")

    def test_losses_are_said_once_a_minute_with_the_reason(self, store: Store) -> None:
        dispatcher = Dispatcher(store, [Wanted(lane(Fake(OutputError("it is down")), room=2), Severity.LOW)])
        dispatcher.tell([news(number) for number in range(5)])  # nothing is delivered yet
        assert dispatcher.lines(0.0) == ["output fake: 3 alarms dropped; 'tunnelwatch alarms' has them all"]
        dispatcher.tell([news(6)])
        assert dispatcher.lines(59.0) == []
        assert dispatcher.lines(60.0) == ["output fake: 1 alarms dropped; 'tunnelwatch alarms' has them all"]
        dispatcher.start()
        assert dispatcher.close(20) == ["output fake: 2 alarms failed: it is down; 'tunnelwatch alarms' has them all"]

    def test_metrics_count_what_became_of_the_alarms(self, store: Store) -> None:
        dispatcher = Dispatcher(store, [Wanted(lane(Fake(None, OutputError("down")), room=3), Severity.LOW)])
        dispatcher.tell([news(number) for number in range(4)])
        dispatcher.start()
        dispatcher.close(20)
        found = {metric.name.rsplit("_", 1)[1]: metric.samples for metric in dispatcher.metrics()}
        assert found == {
            "delivered": [(("fake",), 1)],
            "failed": [(("fake",), 2)],
            "dropped": [(("fake",), 1)],
            "waiting": [(("fake",), 0)],
        }


def config(tmp_path: Path, outputs: str, limits: str = LIMITS) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(f"{limits}\n{outputs}")
    return path


def log(tmp_path: Path, *records: FlowRecord) -> Path:
    path = tmp_path / "a.flowlog"
    path.write_bytes(flow_log([batch(records, 1)]))
    return path


class TestImport:
    def test_an_import_delivers_before_it_ends_and_the_same_again_nothing(self, cli: Cli, tmp_path: Path) -> None:
        with web(status(503), status(200)) as server:
            settings = config(
                tmp_path,
                f'[outputs.file]\npath = "{tmp_path}/alarms"\n[outputs.eve]\npath = "{tmp_path}/eve"\n'
                f'[outputs.webhook]\nurl = "{server.url}"\n[outputs.hook]\ncommand = ["/bin/sh", "-c", '
                f'"cat >> {tmp_path}/hooked"]',
            )
            records = [flow(1), *parts(2, [60, 60], client_ip="10.0.0.2")]
            for _ in range(2):
                cli.imported("--config", settings, log(tmp_path, *records))
            assert {post["client"] for post in server.posted} == {"10.0.0.1", "10.0.0.2"}
            assert len(server.posted) == 3  # the first was answered with 503
        alarms = {row["id"]: row for row in cli.json("alarms")}
        assert len(alarms) == 2
        assert {row["id"] for row in lines(tmp_path / "alarms")} == alarms.keys()
        assert {row["id"] for row in lines(tmp_path / "hooked")} == alarms.keys()
        for line in lines(tmp_path / "alarms"):
            assert line.pop("event") == "new"
            assert line == {**alarms[line["id"]], "seen_count": 1}
        events = {event["src_ip"]: event for event in lines(tmp_path / "eve")}
        assert events["10.0.0.1"]["community_id"] == community_id(records[0])
        assert events["10.0.0.2"]["flow"]["pkts_toserver"] == 10  # both parts
        assert events["10.0.0.2"]["flow_id"] == 2

    def test_an_output_that_fails_does_not_keep_the_import_from_its_end(self, cli: Cli, tmp_path: Path) -> None:
        settings = config(tmp_path, f'[outputs]\nattempts = 1\n[outputs.file]\npath = "{tmp_path}/no/such/file"')
        result = cli("--config", settings, "import", log(tmp_path, flow(1)))
        assert result.code == 0
        assert f"output file: 1 alarms failed: cannot write {tmp_path}/no/such/file" in result.err
        assert "1 records stored, 0 duplicates, 0 bad, 1 new alarms" in result.err

    def test_an_output_that_hangs_is_given_up_after_the_time_limit(self, cli: Cli, tmp_path: Path) -> None:
        settings = config(tmp_path, '[outputs]\nfinish_s = 0.2\n[outputs.hook]\ncommand = ["/bin/sleep", "600"]')
        began = time.monotonic()
        result = cli("--config", settings, "import", log(tmp_path, *(flow(n) for n in range(20))))
        assert time.monotonic() - began < 20
        assert "output hook: 16 alarms dropped and 4 alarms failed" in result.err

    def test_detect_and_lists_deliver_too(self, cli: Cli, tmp_path: Path) -> None:
        quiet = config(tmp_path, f'[outputs.file]\npath = "{tmp_path}/alarms"', "[detect]\nenabled = false\n")
        cli.imported("--config", quiet, log(tmp_path, flow(1, length_s=90_000)))
        lines_before = len(lines(tmp_path / "alarms"))
        assert cli("--config", quiet, "lists", "add", "black", "--client", "10.0.0.1").code == 0
        assert [row["kind"] for row in lines(tmp_path / "alarms")[lines_before:]] == ["black-list"]
        before = len(cli.json("alarms"))
        assert cli("--config", quiet, "detect", "--all").code == 0
        assert len(lines(tmp_path / "alarms")) == lines_before + 1 + len(cli.json("alarms")) - before


def test_serve_delivers_while_it_runs_and_an_output_that_hangs_holds_nobody_up(db: Path, tmp_path: Path) -> None:
    settings = config(
        tmp_path,
        f'[outputs]\nroom = 2\nfinish_s = 0.2\n[outputs.file]\npath = "{tmp_path}/alarms"\n'
        '[outputs.hook]\ncommand = ["/bin/sleep", "600"]\nat_once = 1',
    )
    with serving(db, "--config", str(settings)) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.hello(header())
        for sequence in range(1, 11):
            sensor.send(batch([flow(sequence)], sequence))
            assert sensor.answer().sequence == sequence  # acknowledged, whatever the hook does
            until(lambda: len(lines(tmp_path / "alarms")) == sequence, lambda: time.sleep(0.01))  # noqa: B023 - called here
        assert "output hook: " in correlator.line_with("alarms dropped")
        assert correlator.stop() == 0
    assert len(lines(tmp_path / "alarms")) == len(Cli(db).json("alarms")) == 10


@pytest.mark.parametrize("command", [("alarms",), ("clients",)])
def test_commands_that_only_read_deliver_nothing(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    cli.imported("--config", config(tmp_path, ""), log(tmp_path, flow(1)))
    settings = config(tmp_path, f'[outputs.file]\npath = "{tmp_path}/alarms"')
    assert cli("--config", settings, *command).code == 0
    assert not (tmp_path / "alarms").exists()
