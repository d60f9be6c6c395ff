"""HTTP exchanges leave the sensor as frames of their kind, and as JSON lines where that is asked for."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from corr_cli import Cli
from http_talk import request, response
from packets import ACK, CLIENT, PSH, SERVER, SYN, T0, S, pcap, tcp_frame
from programs import SENSOR, error_line, run
from rec_records import T0 as NOW
from rec_records import exchange

from common.errors import UserError
from common.flowlog import Frame, check_file_header, decode_frame, decode_payload, scan_frames
from common.textrecords import EXCHANGE_COLUMNS
from sensor.batching import MAX_EXCHANGES, Batcher
from sensor.output.exchanges import ExchangesFile
from sensor.output.flowlog import open_output

_ASK, _ANSWER = request(), response(body=b"x" * 50_000)
_ASK_2, _ANSWER_2 = request("POST /two HTTP/1.1", "Host: b", "Content-Length: 2", body=b"hi"), response()


def _packets() -> list[tuple[int, bytes]]:
    """Two exchanges on one connection, the first response in many packets."""
    packets = [
        tcp_frame(CLIENT, SERVER, SYN, seq=100),
        tcp_frame(SERVER, CLIENT, SYN | ACK, seq=500, ack=101),
        tcp_frame(CLIENT, SERVER, PSH | ACK, _ASK, seq=101),
    ]
    packets += [
        tcp_frame(SERVER, CLIENT, ACK, _ANSWER[at : at + 1000], seq=501 + at) for at in range(0, len(_ANSWER), 1000)
    ]
    packets.append(tcp_frame(CLIENT, SERVER, PSH | ACK, _ASK_2, seq=101 + len(_ASK)))
    packets.append(tcp_frame(SERVER, CLIENT, PSH | ACK, _ANSWER_2, seq=501 + len(_ANSWER)))
    return [(T0 + number * S // 10, frame) for number, frame in enumerate(packets)]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap(_packets()))
    return path


def test_lines_have_the_fields_of_the_record(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    file = ExchangesFile(str(path), open_output(str(path)), "tap-1")
    file.write([exchange(), exchange(number=1, anomalies=("gap",))])
    file.write([])
    file.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [tuple(row) for row in rows] == [EXCHANGE_COLUMNS] * 2
    assert (rows[1]["client_ip"], rows[1]["flow_id"], rows[1]["anomalies"]) == ("10.1.1.46", "1", ["gap"])


def test_a_full_disk_is_told_in_one_line() -> None:
    file = ExchangesFile("/dev/full", open_output("/dev/full"), "tap-1")
    with pytest.raises(UserError, match="cannot write /dev/full: No space left on device"):
        file.write([exchange()])
    with suppress(UserError):
        file.close()


class TestBatches:
    def test_exchanges_wait_for_others_and_not_for_long(self) -> None:
        batcher = Batcher("tap-1", 7, flush_ns=1000)
        assert batcher.exchanges([exchange()], NOW) == []
        assert batcher.exchanges([exchange(number=1)], NOW + 999) == []
        (frame,) = batcher.exchanges([], NOW + 1000)
        assert (frame.sequence, [row[1] for row in decode_frame(frame.data).records]) == (1, [0, 1])
        assert batcher.exchanges([], NOW + 5000) == []

    def test_a_frame_is_full_with_some_and_the_rest_waits(self) -> None:
        batcher = Batcher("tap-1", 7, flush_ns=1000)
        many = [exchange(number=number) for number in range(2 * MAX_EXCHANGES + 1)]
        frames = [decode_frame(frame.data) for frame in batcher.exchanges(many, NOW)]
        assert [(frame.kind, len(frame.records)) for frame in frames] == [("http", MAX_EXCHANGES)] * 2
        assert len(batcher.exchanges([], NOW, everything=True)) == 1

    def test_the_largest_exchanges_fit_into_a_frame(self) -> None:
        texts = dict.fromkeys(("host", "user_agent", "referer_host", "upgrade", "content_type"), "😀" * 255)
        largest = exchange(**texts, uri="\U0001f600" * 1024, header_names=("\U0001f600" * 64,) * 64)
        batcher = Batcher("tap-1", 7, flush_ns=1000)
        assert len(batcher.exchanges([largest] * 100, NOW, everything=True)) == 1


class TestRead:
    def test_the_flow_log_holds_every_exchange_of_a_connection(self, capture: Path, tmp_path: Path) -> None:
        log = tmp_path / "a.flowlog"
        code, _, err = run(SENSOR, "read", str(capture), "-w", str(log))
        assert (code, err.split(", ")[-1]) == (0, "exchanges 2\n")
        view = memoryview(log.read_bytes())
        frames = [item for item in scan_frames(view, check_file_header(view)) if isinstance(item, Frame)]
        kinds = [decode_payload(frame.payload).kind for frame in frames]
        assert kinds == ["header", "flow", "http", "stats"]

    def test_the_correlator_shows_what_the_sensor_saw(self, capture: Path, tmp_path: Path) -> None:
        log = tmp_path / "a.flowlog"
        run(SENSOR, "read", str(capture), "-w", str(log))
        cli = Cli(tmp_path / "a.db")
        cli.imported(log)
        found = cli.json("exchanges", "--ascending", "--json")
        assert [(one["number"], one["method"], one["response_body_bytes"]) for one in found] == [
            (0, "GET", 50_000),
            (1, "POST", 0),
        ]
        last = 2 + len(range(0, len(_ANSWER), 1000))
        assert found[0]["end_ns"] == T0 + last * S // 10
        flows = cli.json("flows", "--json")
        assert [one["flow_id"] for one in flows] == [found[0]["flow_id"]]

    def test_exchanges_alone_go_to_standard_output(self, capture: Path) -> None:
        code, out, _ = run(SENSOR, "read", str(capture), "--exchanges", "-")
        assert (code, [json.loads(line)["method"] for line in out.splitlines()]) == (0, ["GET", "POST"])

    def test_flows_and_exchanges_go_to_their_own_places(self, capture: Path, tmp_path: Path) -> None:
        path = tmp_path / "x.ndjson"
        code, out, _ = run(SENSOR, "read", str(capture), "--format", "ndjson", "--exchanges", str(path))
        assert (code, len(out.splitlines()), len(path.read_text().splitlines())) == (0, 1, 2)

    def test_without_http_there_are_none(self, capture: Path, tmp_path: Path) -> None:
        _, _, err = run(SENSOR, "read", str(capture), "-w", str(tmp_path / "a.flowlog"), "--no-http")
        assert "exchanges" not in err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--format", "ndjson", "--exchanges", "-"), "flows and HTTP exchanges would both go to -"),
            (("--exchanges", "x", "--no-http"), "--exchanges wants HTTP exchanges"),
        ],
    )
    def test_what_contradicts_itself_is_refused_in_one_line(
        self, capture: Path, options: tuple[str, ...], said: str
    ) -> None:
        code, _, err = run(SENSOR, "read", str(capture), *options)
        assert code == 1
        assert said in error_line(err)

    def test_the_capture_is_not_written_over(self, capture: Path) -> None:
        code, _, err = run(SENSOR, "read", str(capture), "--exchanges", str(capture))
        assert (code, "is read and written at once" in error_line(err)) == (1, True)
