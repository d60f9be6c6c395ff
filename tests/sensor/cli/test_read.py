"""``tunnelwatch-sensor read`` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packets import ACK, CLIENT, SERVER, SYN, T0, S, pcap, tcp_frame
from programs import SENSOR, error_line, run, running

from common.errors import UserError
from common.flowlog import Batch, Frame, check_file_header, decode_payload, read_schema, scan_frames
from common.records import FlowRecord
from common.textrecords import FLOW_COLUMNS, flow_from_row
from sensor.cli.read import split_words

FLOWS = 6
DATA = pcap(
    [(T0 + n * S, tcp_frame((CLIENT[0], 2000 + n), SERVER, SYN)) for n in range(FLOWS)]
    + [(T0 + 100 * S, tcp_frame((CLIENT[0], 2000), SERVER, ACK))]
)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    return path


def batches(data: bytes) -> list[Batch]:
    view = memoryview(data)
    frames = list(scan_frames(view, check_file_header(view)))
    assert all(isinstance(frame, Frame) for frame in frames)
    return [decode_payload(frame.payload) for frame in frames if isinstance(frame, Frame)]


def test_records_come_as_ndjson_on_standard_output_and_the_account_on_standard_error(capture: Path) -> None:
    code, out, err = run(SENSOR, "read", str(capture), "--sensor", "tap-1")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [tuple(row) for row in rows] == [FLOW_COLUMNS] * 7
    assert {row["sensor"] for row in rows} == {"tap-1"}
    assert err == "packets 7, drops 0 (0%), flows 7 (0 open), records 7\n"


@pytest.mark.parametrize(("name", "given"), [("a.csv", ()), ("-", ("--format", "csv"))])
def test_csv_holds_the_same_records_as_ndjson(capture: Path, tmp_path: Path, name: str, given: tuple[str, ...]) -> None:
    target = "-" if name == "-" else str(tmp_path / name)
    _, out, _ = run(SENSOR, "read", str(capture), "-w", target, *given)
    text = out.decode() if name == "-" else (tmp_path / name).read_text()
    rows = [flow_from_row(row, 0) for row in csv.DictReader(io.StringIO(text))]
    _, out, _ = run(SENSOR, "read", str(capture))
    others = [flow_from_row(json.loads(line), 0) for line in out.splitlines()]
    assert [row[10:] for row in rows] == [row[10:] for row in others]


def test_a_flow_log_opens_with_its_schema_and_counts_its_frames(capture: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.flowlog"
    assert run(SENSOR, "read", str(capture), "-w", str(target), "-y", "50")[0] == 0
    header, *rest = batches(target.read_bytes())
    assert (header.kind, header.sequence) == ("header", 0)
    assert read_schema(header)["flow"] == FlowRecord._fields
    assert [batch.sequence for batch in rest] == list(range(1, len(rest) + 1))
    assert sum(len(batch.records) for batch in rest if batch.kind == "flow") == 7
    assert [batch.kind for batch in rest][-1] == "stats"


def test_a_flow_log_to_standard_output_is_the_format_when_only_w_is_given(capture: Path) -> None:
    _, out, _ = run(SENSOR, "read", str(capture), "-w", "-")
    assert batches(out)[0].kind == "header"


def test_several_files_and_standard_input_are_one_run(capture: Path) -> None:
    code, out, err = run(SENSOR, "read", str(capture), "-", stdin=DATA)
    assert code == 0
    assert "packets 14" in err
    assert len({json.loads(line)["flow_id"] for line in out.splitlines()}) == len(out.splitlines())


def test_the_trailing_words_are_a_filter(capture: Path) -> None:
    _, out, err = run(SENSOR, "read", str(capture), "tcp", "src", "port", "2003")
    assert [json.loads(line)["client_port"] for line in out.splitlines()] == [2003]
    assert "filtered 6" in err


def test_thresholds_print_tcpstatflows_line(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap((T0 + n * 4 * S, tcp_frame(CLIENT, SERVER, SYN | ACK if n else SYN)) for n in range(5)))
    _, _, err = run(SENSOR, "read", str(path), "-y", "10")
    assert err.splitlines()[0] == (
        "potential tunnel = 10.1.1.9:1025->10.1.2.2:3128: packets rx=0 tx=4, bytes rx=0 tx=0, seconds=12 "
        "(duration over 10 s)"
    )


def test_verbose_traces_the_life_of_a_flow(capture: Path) -> None:
    _, _, err = run(SENSOR, "read", str(capture), "-v", "tcp src port 2003")
    kinds = [line.partition(": ")[2].split()[0:2] for line in err.splitlines()]
    assert kinds[:3] == [["new", "flow"], ["flow", "TX"], ["clearing", "flow"]]


def test_level_zero_says_nothing(capture: Path) -> None:
    assert run(SENSOR, "read", str(capture), "-d", "0")[2] == ""


def test_zeek_format_is_a_conn_log_with_one_line_a_connection(capture: Path) -> None:
    _, out, _ = run(SENSOR, "read", str(capture), "--format", "zeek")
    lines = out.decode().splitlines()
    fields = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    rows = [dict(zip(fields, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]
    assert {(row["id.orig_h"], row["conn_state"], row["orig_pkts"]) for row in rows} == {
        ("10.1.1.9", "S0", "1"), ("10.1.1.9", "OTH", "1"),
    }  # fmt: skip
    assert len(rows) == 7


def last_columns(capture: Path, name: str, *more: str) -> list[tuple[str, str]]:
    """Name and value of every row's last column."""
    out = run(SENSOR, "read", str(capture), "--format", name, *more)[1].decode()
    if name == "ndjson":
        return [list(json.loads(line).items())[-1] for line in out.splitlines()]
    if name == "csv":
        return [list(row.items())[-1] for row in csv.DictReader(io.StringIO(out))]
    lines = [line.split("\t") for line in out.splitlines()]
    column = next(cells[-1] for cells in lines if cells[0] == "#fields")
    return [(column, cells[-1]) for cells in lines if not cells[0].startswith("#")]


def test_the_community_id_is_the_last_column_when_asked_for(capture: Path, tmp_path: Path) -> None:
    names = ("ndjson", "csv", "zeek")
    config = tmp_path / "a.toml"
    config.write_text("[log]\ncommunity_id = true\ncommunity_id_seed = 1\n")
    asked, seeded = (
        [sorted(last_columns(capture, name, *more)) for name in names]
        for more in (("--community-id",), ("--config", str(config)))
    )
    assert asked[0] == asked[1] == asked[2]
    assert seeded[0] == seeded[1] == seeded[2]
    assert {column for column, _ in asked[0] + seeded[0]} == {"community_id"}
    assert len(set(asked[0])) == len(set(seeded[0])) == FLOWS
    assert not set(asked[0]) & set(seeded[0])
    assert all(column != "community_id" for name in names for column, _ in last_columns(capture, name))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/etc/passwd"], "not a capture file"),
        (["/nowhere/at/all.pcap"], "No such file"),
        (["{capture}", "/nowhere/b.pcap"], "no file /nowhere/b.pcap"),
        (["{capture}", "tcp", "prt", "80"], "bad filter 'tcp prt 80'"),
        (["{capture}", "tcp", "--filter", "udp"], "two filters"),
        (["{capture}", "-w", "/nowhere/x.flowlog"], "cannot write /nowhere/x.flowlog"),
        (["{capture}", "-w", "/dev/full", "--format", "csv"], "cannot write /dev/full: No space left"),
        (["{capture}", "--home", "10.0.0.0/99"], "bad home network"),
        (["{capture}", "-u", "no-such-user"], "no user 'no-such-user'"),
        (["{capture}", "--config", "/nowhere.toml"], "cannot read /nowhere.toml"),
        (["{capture}", "--sensor", "a" * 300], "name: expected str of length <= 64"),
        (["{capture}", "--sensor", ""], "name: expected str of length >= 1"),
        (["{capture}", "--format", "zeek", "--ship", "ipc:///tmp/x", "--plaintext"], "one line a connection"),
        (["{capture}", "--community-id", "--format", "flowlog"], "no column for a community ID"),
        (["{capture}", "--ship", "tcp://127.0.0.1:1"], "no public key of the correlator at"),
        (["{capture}", "--ship", "tcp://192.0.2.1:5690", "--plaintext"], "would leave this host"),
        (["{capture}", "--ship", "nonsense", "--plaintext"], "would leave this host"),
        (["{capture}", "--ship", "ipc:///tmp/x", "--plaintext", "--spool", "/dev/null/spool"], "cannot use the spool"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_1(capture: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    spool = () if "--spool" in arguments else ("--spool", str(tmp_path / "spool"))
    code, _, err = run(SENSOR, "read", *(word.format(capture=capture) for word in arguments), *spool)
    assert code == 1
    assert words in error_line(err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{typo}", "-w", "{log}"], "No such file"),
        (["{capture}", "-w", "{log}", "tcp prt 80"], "bad filter"),
        (["{capture}", "-w", "{log}", "-u", "no-such-user"], "no user"),
        (["{capture}", "-w", "{log}", "--home", "10.0.0.0/99"], "bad home network"),
        (["{capture}", "-w", "{log}", "--ship", "tcp://192.0.2.1:1", "--plaintext"], "would leave this host"),
        (["{log}", "-w", "{log}"], "is read and written at once"),
        (["{capture}", "{log}", "-w", "{link}"], "is read and written at once"),
        (["-", "-w", "{log}"], "is read and written at once"),
    ],
)
def test_a_mistake_leaves_the_file_of_an_earlier_run_alone(
    capture: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    log, link = tmp_path / "good.flowlog", tmp_path / "link.flowlog"
    log.write_bytes(DATA)
    link.symlink_to(log)
    places = {"typo": tmp_path / "typo.pcap", "capture": capture, "log": log, "link": link}
    command = [SENSOR, "read", *(word.format(**places) for word in arguments), "--spool", str(tmp_path / "spool")]
    with log.open("rb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert words in error_line(done.stderr)
    assert log.read_bytes() == DATA


def test_a_full_disk_still_gives_the_account(capture: Path) -> None:
    code, _, err = run(SENSOR, "read", str(capture), "-w", "/dev/full", "--format", "ndjson")
    assert code == 1
    assert "cannot write /dev/full: No space left" in error_line(err)
    assert "packets 7, drops 0 (0%), flows 7 (0 open), records 7" in err


def test_damage_in_one_file_does_not_keep_the_next_from_being_read(capture: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.pcap"
    torn.write_bytes(DATA[:-1])
    code, out, err = run(SENSOR, "read", str(torn), str(capture))
    assert code == 1
    assert "cut off in a packet" in error_line(err)
    assert "packets 13" in err
    assert out


def test_usage_errors_exit_with_2() -> None:
    assert run(SENSOR, "read")[0] == 2
    assert run(SENSOR, "read", "x", "-y", "nan")[0] == 2
    assert run(SENSOR, "nonsense")[0] == 2


def test_a_closed_pipe_is_no_error(capture: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{SENSOR} read {capture} -d 0 | head -1"], capture_output=True, timeout=30, check=True
    )
    assert done.stderr == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_reading_and_what_was_read_is_written(tmp_path: Path, number: int) -> None:
    fifo, target = tmp_path / "pipe", tmp_path / "a.ndjson"
    os.mkfifo(fifo)
    process = subprocess.Popen([SENSOR, "read", str(fifo), "-w", str(target)], stderr=subprocess.PIPE, text=True)
    with fifo.open("wb", buffering=0) as pipe:
        pipe.write(DATA)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "stopped by a signal" in err
    assert err.endswith(f"records {len(target.read_text().splitlines())}\n")


@pytest.mark.parametrize(
    ("words", "files", "expression"),
    [
        (("a.pcap",), ["a.pcap"], ""),
        (("a.pcap", "b.pcap", "tcp", "port", "80"), ["a.pcap", "b.pcap"], "tcp port 80"),
        (("-", "host", "192.0.2.1"), ["-"], "host 192.0.2.1"),
        (("a.pcap", "tcp port 80"), ["a.pcap"], "tcp port 80"),
    ],
)
def test_files_come_first_and_the_filter_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], files: list[str], expression: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.pcap", "b.pcap"):
        Path(name).touch()
    assert split_words(words) == (files, expression)


@pytest.mark.parametrize("mistyped", ["c.pcap", "./trace", "/tmp/none.pcapng"])
def test_a_mistyped_file_is_not_taken_for_a_filter(mistyped: str) -> None:
    with pytest.raises(UserError, match="no file"):
        split_words(("a.pcap", mistyped))


def test_a_filter_may_be_longer_than_a_files_name_and_a_pipe_is_a_file(tmp_path: Path) -> None:
    long = " or ".join(["tcp port 80"] * 50)
    assert split_words(("a.pcap", long)) == (["a.pcap"], long)
    os.mkfifo(tmp_path / "pipe")
    assert split_words(("a.pcap", str(tmp_path / "pipe"), "tcp"))[0] == ["a.pcap", str(tmp_path / "pipe")]


def test_a_flow_log_is_written_to_standard_output_when_only_the_format_is_given(capture: Path) -> None:
    assert batches(run(SENSOR, "read", str(capture), "--format", "flowlog")[1])[0].kind == "header"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("read - <&-", "cannot read standard input: it is closed"),
        ("read {capture} >&-", "cannot write -: Bad file descriptor"),
        ("interfaces >&-", "cannot write to standard output: Bad file descriptor"),
        ("interfaces > /dev/full", "cannot write to standard output: No space left"),
        ("-h > /dev/full", "cannot write to standard output: No space left"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_closed_or_full_standard_files_are_one_line(capture: Path, words: str, problem: str, unbuffered: str) -> None:
    command = f"PYTHONUNBUFFERED={unbuffered} {SENSOR} {words.format(capture=capture)}"
    code, _, err = run("sh", "-c", command)
    assert code == 1
    assert problem in error_line(err)


def test_a_closed_standard_output_is_no_matter_when_nothing_goes_there(capture: Path, tmp_path: Path) -> None:
    code, _, err = run("sh", "-c", f"{SENSOR} read {capture} -w {tmp_path}/a.flowlog >&-")
    assert (code, "error" in err) == (0, False)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.parametrize("user", [(), ("-u", "nobody")])
def test_what_the_user_may_not_reach_is_one_line_before_anything_is_read(
    capture: Path, tmp_path: Path, open_directory: Path, user: tuple[str, ...]
) -> None:
    (open_directory / "spool" / "lost+found").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(open_directory / "link"))
        for link, spool, problem in (
            (open_directory / "none", open_directory / "spool", f"run chown nobody {open_directory}/spool"),
            (open_directory / "none", tmp_path / "spool", "where the spool"),
            (open_directory / "link", open_directory / "new", f"nobody may not connect to ipc://{open_directory}/link"),
            (tmp_path / "link", open_directory / "new", f"where the endpoint ipc://{tmp_path}/link is"),
        ):
            ship = ("--ship", f"ipc://{link}", "--plaintext", "--spool", str(spool))
            code, _, err = run(SENSOR, "read", str(capture), *user, *ship)
            assert code == 1
            assert problem in error_line(err)
            assert "packets" not in err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_root_reads_as_nobody_what_only_root_may_open(capture: Path, tmp_path: Path) -> None:
    fifo, target = tmp_path / "pipe", tmp_path / "a.flowlog"
    os.mkfifo(fifo)
    with running(SENSOR, "read", str(capture), str(fifo), str(capture), "-w", str(target), "-t", "0.01") as sensor:
        sensor.wait_for("packets 7,")
        status = Path(f"/proc/{sensor.process.pid}/status").read_text()
        for line in (
            "Uid:\t65534\t65534\t65534\t65534", "Gid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "NoNewPrivs:\t1",
            "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000",
        ):  # fmt: skip
            assert line in status
        fifo.write_bytes(DATA)
        assert sensor.process.wait(20) == 0
    assert "packets 21," in sensor.lines[-1]
    assert [batch.kind for batch in batches(target.read_bytes())][-1] == "stats"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_root_reads_a_pipe_of_the_shells_as_nobody(capture: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{SENSOR} read <(cat {capture}) - <{capture}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 14)
    assert "packets 14," in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to stay it")
def test_root_stays_root_when_told_and_says_so(capture: Path) -> None:
    code, _, err = run(SENSOR, "read", str(capture), "-u", "root")
    assert code == 0
    assert [line.split(",")[0] for line in err.splitlines()] == ["running as root", "packets 7"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
def test_a_root_that_cannot_become_anybody_is_told_what_to_do(capture: Path) -> None:
    code, out, err = run("setpriv", "--bounding-set=-setuid", SENSOR, "read", str(capture))
    assert (code, out) == (1, b"")
    assert error_line(err) == (
        "error: cannot become nobody (Operation not permitted); name another user with -u, or stay root with -u root"
    )


def test_usr1_gives_the_statistics_while_a_pipe_is_silent(tmp_path: Path) -> None:
    fifo, target = tmp_path / "pipe", tmp_path / "a.flowlog"
    os.mkfifo(fifo)
    with running(SENSOR, "read", str(fifo), "-w", str(target), "-v") as sensor, fifo.open("wb", buffering=0) as pipe:
        pipe.write(DATA)
        sensor.wait_for("new flow")
        sensor.process.send_signal(signal.SIGUSR1)
        sensor.wait_for("packets 7,")
        pipe.close()
        assert sensor.process.wait(20) == 0
    assert [batch.kind for batch in batches(target.read_bytes())].count("stats") == 2
