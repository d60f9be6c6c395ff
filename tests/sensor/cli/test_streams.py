"""``tunnelwatch-sensor streams`` as a user runs it."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import signal
import subprocess
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from packets import ACK, CLIENT, FIN, SERVER, SYN, T0, S, ethernet, ipv6, pcap, tcp, tcp_frame
from programs import AS_ROOT, SENSOR, error_line, run, running

PROGRAM = (SENSOR, "streams")
OUT, BACK = "010.001.001.009.01025-010.001.002.002.03128", "010.001.002.002.03128-010.001.001.009.01025"
V6_FRAME = ethernet(ipv6("2001:db8::1", "2001:db8::2", 6, tcp(1, 2, ACK, b"six", seq=1)))
DATA = pcap(
    [
        (T0, tcp_frame(CLIENT, SERVER, SYN, seq=100)),
        (T0 + S, tcp_frame(SERVER, CLIENT, SYN | ACK, seq=500)),
        (T0 + 2 * S, tcp_frame(CLIENT, SERVER, ACK, b"GET /\r\n", seq=101)),
        (T0 + 3 * S, tcp_frame(SERVER, CLIENT, ACK, b"2", seq=501)),
        (T0 + 4 * S, tcp_frame(SERVER, CLIENT, ACK, b"\x1b0", seq=502)),
        (T0 + 5 * S, tcp_frame(CLIENT, SERVER, FIN | ACK, seq=108)),
    ]
)
PACKED = gzip.compress(b"page", mtime=0)
FILES = {OUT: b"GET /\r\n", BACK: b"2\x1b0"}


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    return path


def streams(*arguments: str | Path, cwd: Path | None = None) -> tuple[int, bytes, str]:
    return run(*PROGRAM, *AS_ROOT, *map(str, arguments), cwd=cwd)


def found(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "report.xml"}


def test_each_direction_is_a_file_and_the_report_lists_both(capture: Path, tmp_path: Path) -> None:
    code, out, err = streams(capture, "-o", tmp_path / "new/out")
    assert (code, out) == (0, b"")
    assert err.splitlines()[-1] == "connections 1, files 2, bytes 10"
    assert found(tmp_path / "new/out") == FILES
    assert (tmp_path / "new/out" / BACK).stat().st_mtime_ns == T0
    names = [one.text or "" for one in ET.parse(tmp_path / "new/out/report.xml").iter("filename")]
    assert sorted(names) == [f"{tmp_path}/new/out/{name}" for name in (OUT, BACK)]


@pytest.mark.parametrize("words", [["-r", "a.pcap"], ["-l", "a.pcap"], ["a.pcap"], ["-r", "a.pcap", "tcp"]])
def test_the_captures_may_be_given_as_tcpflow_takes_them(capture: Path, words: list[str]) -> None:
    code, _, err = streams(*words, "-o", "out", cwd=capture.parent)
    assert code == 0, err
    assert found(capture.parent / "out") == FILES


def test_without_a_directory_files_go_here(capture: Path) -> None:
    streams(capture, "-q", cwd=capture.parent)
    assert {*found(capture.parent)} == {"a.pcap", OUT, BACK}


def test_a_second_run_writes_over_nothing(capture: Path, tmp_path: Path) -> None:
    streams(capture, "-o", tmp_path / "out")
    streams(capture, "-o", tmp_path / "out")
    assert found(tmp_path / "out") == FILES | {f"{OUT}c1": FILES[OUT], f"{BACK}c1": FILES[BACK]}


def test_sums_are_in_the_report_and_the_index(capture: Path, tmp_path: Path) -> None:
    index = tmp_path / "i.ndjson"
    code, _, _ = streams(capture, "-o", tmp_path / "out", "-FM", "--index", index, "-X", tmp_path / "r.xml", "-q")
    assert code == 0
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    assert [row["name"] for row in rows] == [OUT, BACK]
    sums = [one.text for one in ET.parse(tmp_path / "r.xml").iter("hashdigest")]
    assert sums == [row["md5"] for row in rows]
    assert not (tmp_path / "out/report.xml").exists()


def test_fx_writes_the_report_alone(capture: Path, tmp_path: Path) -> None:
    streams(capture, "-o", tmp_path / "out", "-FX", "-F", "M")
    assert found(tmp_path / "out") == {}
    assert len([*ET.parse(tmp_path / "out/report.xml").iter("hashdigest")]) == 2


def test_limits_and_names_are_tcpflows(capture: Path, tmp_path: Path) -> None:
    streams(capture, "-o", tmp_path / "out", "-b", "2", "-f", "1", "-T", "%S/%a", "-s")
    assert found(tmp_path / "out/00000000000000000000") == {"01025": b"GE", "03128": b"2."}


@pytest.mark.parametrize(("letters", "held"), [(("-e", "http"), b"page"), (("-a",), b"page"), (("-a", "-Z"), PACKED)])
def test_bodies_of_http_lie_beside_their_streams(tmp_path: Path, letters: tuple[str, ...], held: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([(T0, tcp_frame(SERVER, CLIENT, ACK, head % len(PACKED) + PACKED, seq=1))]))
    _, _, err = streams(path, "-o", tmp_path / "out", *letters, "--index", tmp_path / "i")
    name = f"{BACK}-HTTPBODY-001.html"
    assert (tmp_path / "out" / name).read_bytes() == held
    assert "HTTP bodies 1" in err
    assert [body["name"] for body in json.loads((tmp_path / "i").read_text())["bodies"]] == [name]
    names = [one.text for one in ET.parse(tmp_path / "out/report.xml").iter("filename")]
    assert names == [f"{tmp_path}/out/{BACK}", f"{tmp_path}/out/{name}"]


def test_the_console_makes_no_files(capture: Path) -> None:
    code, out, err = streams("-c", capture, cwd=capture.parent)
    assert (code, err.splitlines()[-1]) == (0, "connections 1, files 0, bytes 10")
    assert out == f"{OUT}: GET /\r\n\n{BACK}: 2\n{BACK}: .0\n".encode()
    assert [path.name for path in capture.parent.iterdir()] == ["a.pcap"]


@pytest.mark.parametrize(
    ("letters", "out"),
    [("-C", b"GET /\r\n\n2\n.0\n"), ("-C0", b"GET /\r\n2.0"), ("-C0B", b"GET /\r\n2\x1b0"), ("-C0b1", b"G2")],
)
def test_letters_of_the_console(capture: Path, letters: str, out: bytes) -> None:
    assert streams(letters, "-q", capture) == (0, out, "")


def test_a_dump_and_colours(capture: Path) -> None:
    _, out, _ = streams("-C", "-D", "-g", "-q", capture)
    assert out.startswith(b"\033[0;34m0000: 4745 5420 2f0d 0a  ")


def test_json_lines_and_a_report_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "six.pcap"
    path.write_bytes(pcap([(T0, V6_FRAME)]))
    code, out, _ = streams("-J", "-X", tmp_path / "r.xml", path)
    row = json.loads(out)
    assert code == 0
    assert (row["src_host"], row["src_port"], row["dst_host"], row["dst_port"]) == ("2001:db8::1", 1, "2001:db8::2", 2)
    assert bytes(row["payload"]) == b"six"
    assert json.loads(streams("-J", "--payload", "base64", path)[1])["payload"] == "c2l4"
    assert [one.get("src_ipn") for one in ET.parse(tmp_path / "r.xml").iter("tcpflow")] == ["2001:db8::1"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "no capture to read"),
        (["none.pcap"], 1, "error: cannot read none.pcap"),
        (["a.pcap", "-T", "../%A"], 1, "no file below -o"),
        (["a.pcap", "-T", "%E"], 1, "Ethernet addresses are not kept"),
        (["a.pcap", "-c", "-e", "http"], 2, "-e http writes files"),
        (["a.pcap", "-Fz"], 2, "-F knows no 'z'"),
        (["a.pcap", "-g"], 2, "-g is about what is printed; add -c or -C"),
        (["a.pcap", "-J", "-D"], 2, "-J prints JSON"),
        (["a.pcap", "-o", "a.pcap"], 1, "a.pcap is there and is no directory"),
        (["a.pcap", "-X", "a.pcap"], 1, "a.pcap is an input and is not written over"),
        (["a.pcap", "-c", "--index", "./a.pcap"], 1, "a.pcap is an input and is not written over"),
        (["a.pcap", "tcp", "prot"], 1, "error: bad filter 'tcp prot'"),
        (["a.pcap", "tcp", "--filter", "udp"], 1, "two filters"),
        (["a.pcap", "-f", "0"], 2, "-f"),
    ],
)
def test_what_cannot_be_done_is_one_line(capture: Path, words: list[str], code: int, text: str) -> None:
    found_code, out, err = streams(*words, cwd=capture.parent)
    assert (found_code, out) == (code, b"")
    assert text in err
    assert "Traceback" not in err
    assert capture.read_bytes() == DATA


def test_what_came_before_damage_is_recorded(capture: Path) -> None:
    damaged = capture.with_name("damaged.pcap")
    damaged.write_bytes(DATA + b"cut")
    code, _, err = streams(damaged, "-o", damaged.parent / "out")
    assert code == 1
    assert "is cut off" in error_line(err)
    assert found(damaged.parent / "out") == FILES
    assert len([*ET.parse(damaged.parent / "out/report.xml").iter("fileobject")]) == 2


def all_read(pipe: int) -> None:
    """Wait until nothing is left in a pipe."""
    end = time.monotonic() + 20
    while fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_after_a_signal_files_and_report_are_whole(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.fifo")
    with running(*PROGRAM, *AS_ROOT, str(tmp_path / "a.fifo"), "-o", str(tmp_path / "out")) as program:
        with (tmp_path / "a.fifo").open("wb", buffering=0) as pipe:
            for data in (DATA, b"more"):  # what comes after it is read when it was taken
                pipe.write(data)
                all_read(pipe.fileno())
            program.process.send_signal(signal.SIGINT)
            assert program.process.wait(20) == 1
        program.wait_for("stopped by a signal")
    assert found(tmp_path / "out") == FILES
    assert len([*ET.parse(tmp_path / "out/report.xml").iter("fileobject")]) == 2


def test_a_reader_that_leaves_is_no_error(capture: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        done = subprocess.run(
            [*PROGRAM, *AS_ROOT, "-c", "-q", str(capture)], stdout=out, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that everybody may enter, as tmp_path is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_goes_on_as_nobody_in_a_directory_given_to_it(open_dir: Path) -> None:
    path = open_dir / "a.pcap"
    path.write_bytes(DATA)
    code, _, err = run(*PROGRAM, str(path), "-o", str(open_dir / "out"))
    assert code == 0, err
    assert (open_dir / "out").owner() == (open_dir / "out" / OUT).owner() == "nobody"
    (open_dir / "mine").mkdir()
    code, _, err = run(*PROGRAM, str(path), "-o", str(open_dir / "mine"))
    assert code == 1
    assert "nobody may not write to" in error_line(err)
