"""HTTP exchanges come over the link or from files, are stored once, shown as asked, and go with the flows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from corr_cli import Cli
from corr_flows import batch, flow_log, header
from hypothesis import given
from rec_records import T0, S, exchange, flow, rows_of

from common.errors import WireError
from common.records import FlowRecord, HttpExchange
from correlator.config import RetentionSettings, SensorLimits, Thresholds
from correlator.ingest.pipeline import Pipeline
from correlator.ingest.receiver import FUTURE_NS, MAX_COUNTER, MAX_TIME_NS, check_plausible_exchange
from correlator.ingest.spread import MAX_DURATION_NS
from correlator.rows import Selection
from correlator.store.database import Store
from correlator.store.exchanges import Wanted, select_exchanges
from correlator.store.retention import Pruner, Removed
from correlator.store.writer import Writer

_DAY = 86_400 * S
_PAGE = exchange()
_TUNNEL = exchange(
    number=1, start_ns=T0 + 10 * S, end_ns=T0 + 11 * S, method="CONNECT", host="ssh.example.org", host_port=22,
    content_type=None, anomalies=("connect-odd-port", "no-user-agent"), user_agent=None,
)  # fmt: skip
_FAILED = exchange(
    flow_id=2, client_ip=bytes(range(16)), server_ip=bytes(16), start_ns=T0 + 20 * S, request_end_ns=None,
    response_start_ns=None, end_ns=T0 + 20 * S, method="get", host=None, host_port=None, uri="/é?x=1", status=503,
    header_names=(), anomalies=("exotic-method",),
)  # fmt: skip
_ALL = [_PAGE, _TUNNEL, _FAILED]


def _store(pipeline: Pipeline, exchanges: Sequence[HttpExchange], sequence: int = 1) -> int:
    if not pipeline.receiver.knows("tap", 7):
        pipeline.receiver.open_run(header())
    frame = batch([tuple(one) for one in exchanges], sequence, kind="http")
    return pipeline.store_frames([frame], T0 + _DAY).exchanges


def _found(store: Store, chosen: Selection | None = None, **wanted: object) -> list[HttpExchange]:
    return [one for _, one in select_exchanges(store, chosen or Selection(), Wanted(**wanted))]  # type: ignore[arg-type]


def test_exchanges_come_back_as_they_were_sent_newest_first(store: Store, pipeline: Pipeline) -> None:
    assert _store(pipeline, _ALL) == 3
    assert _found(store) == [_FAILED, _TUNNEL, _PAGE]
    assert _found(store, ascending=True, limit=2) == [_PAGE, _TUNNEL]


def test_a_frame_is_stored_once_and_so_is_an_exchange_that_comes_in_another(store: Store, pipeline: Pipeline) -> None:
    assert [_store(pipeline, _ALL, 1), _store(pipeline, _ALL, 1), _store(pipeline, [*_ALL, exchange(number=9)], 2)] == [
        3,
        0,
        1,
    ]
    assert len(_found(store)) == 4


@given(one=rows_of(HttpExchange))
def test_an_exchange_of_any_values_is_plausible_or_refused(one: HttpExchange) -> None:
    good = (
        one.start_ns <= one.end_ns <= min(MAX_TIME_NS, one.start_ns + MAX_DURATION_NS)
        and len(one.client_ip) == len(one.server_ip)
        and all((getattr(one, name) or 0) <= MAX_COUNTER for name in one._fields if name.endswith("_bytes"))
    )
    with nullcontext() if good else pytest.raises(WireError):
        check_plausible_exchange(one)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"end_ns": T0 - 1}, "record_time"),
        ({"end_ns": MAX_TIME_NS + 1}, "record_future"),
        ({"start_ns": T0 + FUTURE_NS + _DAY + 1, "end_ns": T0 + FUTURE_NS + _DAY + 1}, "record_future"),
        ({"server_ip": bytes(16)}, "record_value"),
        ({"response_body_bytes": MAX_COUNTER + 1}, "record_value"),
        ({"method": "GET\n"}, "record_value"),
        ({"header_names": ("a",) * 65}, "record_value"),
        ({"status": -1}, "record_value"),
        ({"anomalies": ("x" * 65,)}, "record_value"),
        ({"host_port": 65536}, "record_value"),
    ],
)
def test_what_is_no_exchange_is_refused_and_the_others_are_stored(
    store: Store, pipeline: Pipeline, changes: dict[str, Any], reason: str
) -> None:
    pipeline.receiver.open_run(header())
    rows = [tuple(_PAGE), tuple(_TUNNEL._replace(**changes))]
    stored = pipeline.store_frames([batch(rows, 1, kind="http")], T0 + _DAY)
    assert (stored.exchanges, dict(stored.refused)) == (1, {reason: 1})
    assert _found(store) == [_PAGE]


@pytest.mark.parametrize(
    ("chosen", "wanted", "found"),
    [
        (Selection(since_ns=T0 + 10 * S), {}, [_FAILED, _TUNNEL]),
        (Selection(until_ns=T0 + 10 * S), {}, [_PAGE]),
        (Selection(client="10.1.1.46"), {}, [_TUNNEL, _PAGE]),
        (Selection(client="10.1.0.0/16"), {}, [_TUNNEL, _PAGE]),
        (Selection(client="10.1.1.47"), {}, []),
        (Selection(server="::"), {}, [_FAILED]),
        (Selection(server_port=3128), {}, [_FAILED, _TUNNEL, _PAGE]),
        (Selection(host="ssh.example.org"), {}, [_TUNNEL]),
        (Selection(host="*.example.net"), {}, [_PAGE]),
        (Selection(), {"methods": ("GET",)}, [_FAILED, _PAGE]),
        (Selection(), {"methods": ("CONNECT", "PUT")}, [_TUNNEL]),
        (Selection(), {"statuses": ((500, 599),)}, [_FAILED]),
        (Selection(), {"statuses": ((100, 199), (200, 200))}, [_TUNNEL, _PAGE]),
        (Selection(), {"anomalies": ("no-user-agent", "exotic-method")}, [_FAILED, _TUNNEL]),
        (Selection(), {"odd": True}, [_FAILED, _TUNNEL]),
        (Selection(client="10.1.1.46"), {"odd": True, "methods": ("CONNECT",)}, [_TUNNEL]),
    ],
)
def test_a_selection_gives_what_it_names(
    store: Store, pipeline: Pipeline, chosen: Selection, wanted: dict[str, object], found: list[HttpExchange]
) -> None:
    _store(pipeline, _ALL)
    assert _found(store, chosen, **wanted) == found


class TestRetention:
    def test_exchanges_go_with_the_flows(self, store: Store, pipeline: Pipeline) -> None:
        old = [exchange(number=number, start_ns=T0 + number, end_ns=T0 + S) for number in range(5)]
        _store(pipeline, [*old, exchange(flow_id=7, start_ns=T0, end_ns=T0 + 40 * _DAY)._replace(end_ns=T0 + 2 * _DAY)])
        pipeline.store_records([("tap", flow(flow_id=1)), ("tap", _recent())], T0 + 40 * _DAY)
        pruner = Pruner(store, RetentionSettings(flows_days=30))
        assert pruner.due(T0 + 41 * _DAY) == Removed(1, 0, 6)
        assert pruner.step(T0 + 41 * _DAY) == Removed(records=1)
        assert [pruner.step(T0 + 41 * _DAY, most=4).exchanges for _ in range(3)] == [4, 2, 0]
        assert _found(store) == []

    def test_one_that_lasts_beyond_the_bound_stays(self, store: Store, pipeline: Pipeline) -> None:
        lasting = exchange(end_ns=T0 + 20 * _DAY)
        pipeline.receiver.open_run(header())
        pipeline.store_frames([batch([tuple(lasting)], 1, kind="http")], T0 + 40 * _DAY)
        pipeline.store_records([("tap", _recent())], T0 + 40 * _DAY)
        assert Pruner(store, RetentionSettings(flows_days=30)).step(T0 + 41 * _DAY) == Removed()
        assert _found(store) == [lasting]

    def test_those_of_files_from_before_are_left_out_and_those_of_the_link_are_not(self, store: Store) -> None:
        for limits, stored in ((None, 0), (SensorLimits(), 1)):
            pipeline = Pipeline(Writer(store), Thresholds(), limits)
            pipeline.store_records([("tap", flow(flow_id=1)), ("tap", _recent())], T0 + 40 * _DAY)
            Pruner(store, RetentionSettings(flows_days=30)).step(T0 + 41 * _DAY)
            assert _store(pipeline, [_PAGE], sequence=2 + stored) == stored


def _recent() -> FlowRecord:
    start_ns = T0 + 40 * _DAY
    return flow(flow_id=2, flow_start_ns=start_ns, start_ns=start_ns, end_ns=start_ns)


@pytest.fixture
def imported(cli: Cli, tmp_path: Path) -> Cli:
    rows = [tuple(one) for one in _ALL]
    (tmp_path / "one.flowlog").write_bytes(flow_log([batch([flow()], 1), batch(rows, 2, kind="http")]))
    said = cli("import", tmp_path / "one.flowlog")
    assert (said.code, said.err.splitlines()[-1]) == (0, "1 records stored, 3 HTTP exchanges, 0 duplicates, 0 bad")
    return cli


class TestCommand:
    def test_a_file_twice_stores_nothing_new(self, imported: Cli, tmp_path: Path) -> None:
        said = imported("import", tmp_path / "one.flowlog")
        assert said.err.splitlines()[-1] == "0 records stored, 4 duplicates, 0 bad"
        assert len(imported.json("exchanges", "--json")) == 3

    def test_json_has_the_fields_of_the_record_with_addresses_as_text(self, imported: Cli) -> None:
        (found,) = imported.json("exchanges", "--method", "connect", "--json")
        assert list(found) == ["sensor", *HttpExchange._fields]
        assert found["flow_id"] == "1"
        assert (found["client_ip"], found["server_ip"], found["sensor"]) == ("10.1.1.46", "10.1.1.1", "tap")
        assert found["anomalies"] == ["connect-odd-port", "no-user-agent"]

    def test_ndjson_and_csv_hold_the_same(self, imported: Cli) -> None:
        lines = [json.loads(line) for line in imported("exchanges", "--ndjson").out.splitlines()]
        rows = list(csv.DictReader(io.StringIO(imported("exchanges", "--csv").out)))
        assert [line["method"] for line in lines] == [row["method"] for row in rows] == ["get", "CONNECT", "GET"]
        assert json.loads(rows[1]["anomalies"]) == lines[1]["anomalies"]

    def test_csv_without_rows_has_its_columns(self, imported: Cli) -> None:
        out = imported("exchanges", "--csv", "--status", "404").out
        assert out.strip() == ",".join(["sensor", *HttpExchange._fields])

    def test_a_table_shows_where_it_went_and_what_was_odd(self, imported: Cli) -> None:
        out = imported("exchanges", "--no-pager").out
        assert "ssh.example.org:22" in out
        assert "connect-odd-port no-user-agent" in out
        assert "www.example.net " in out

    @pytest.mark.parametrize(
        ("options", "methods"),
        [
            (["--anomaly", "any"], ["get", "CONNECT"]),
            (["--anomaly", "EXOTIC-method"], ["get"]),
            (["--status", "5xx"], ["get"]),
            (["--status", "200-299", "--ascending"], ["GET", "CONNECT"]),
            (["--status", "200", "-n", "1"], ["CONNECT"]),
            (["--client", "10.1.1.46"], ["CONNECT", "GET"]),
            (["--host", "*.example.org"], ["CONNECT"]),
        ],
    )
    def test_options_choose(self, imported: Cli, options: list[str], methods: list[str]) -> None:
        assert [found["method"] for found in imported.json("exchanges", *options, "--json")] == methods

    @pytest.mark.parametrize("status", ["abc", "0xx", "99", "4x"])
    def test_what_is_no_status_is_refused_in_one_line(self, imported: Cli, status: str) -> None:
        said = imported("exchanges", "--status", status)
        assert said.code == 2
        assert f"'{status}' is no status: 404, 400-499 or 5xx" in said.err

    def test_db_stats_lists_their_table(self, imported: Cli) -> None:
        tables = {table["table"]: table for table in imported.json("db", "stats", "--pages", "--json")["tables"]}
        assert (tables["http_exchanges"]["level"], tables["http_exchanges"]["rows"]) == ("exchanges", 3)
