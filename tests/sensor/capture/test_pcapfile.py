"""Reading captures from files, pipes and gzip, and the one line that says what is wrong with one."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import pytest
from packets import CLIENT, SERVER, SYN, T0, accounted, pcap, tcp_frame

from sensor.capture.pcapfile import CaptureFileError, check_capture, read_capture
from sensor.flow._table import FlowTable

DATA = pcap((T0 + n * 1000, tcp_frame((CLIENT[0], 1 + n), SERVER, SYN)) for n in range(50))


def count(path: Path | str, expression: str = "") -> FlowTable:
    table = FlowTable()
    read_capture(str(path), table, expression, lambda: True)
    return table


def problem(path: Path | str, expression: str = "") -> tuple[str, FlowTable]:
    table = FlowTable()
    with pytest.raises(CaptureFileError) as caught:
        read_capture(str(path), table, expression, lambda: True)
    message = str(caught.value)
    assert "\n" not in message
    assert accounted(table)
    return message, table


def test_a_file_and_its_gzip_give_the_same(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.pcap", tmp_path / "a.pcap.gz"
    plain.write_bytes(DATA)
    packed.write_bytes(gzip.compress(DATA))
    assert count(plain).accepted == count(packed).accepted == 50


def test_a_capture_larger_than_a_block_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "large.pcap"
    frame = tcp_frame(CLIENT, SERVER, SYN, bytes(60_000))
    path.write_bytes(pcap((T0 + n, frame) for n in range(40)))
    assert count(path).accepted == 40


def test_a_pcapng_block_larger_than_a_block_of_reading_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.pcapng"
    comment = struct.pack("<II", 99, 12 + (3 << 20)) + bytes(3 << 20) + struct.pack("<I", 12 + (3 << 20))
    header = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    path.write_bytes(header + comment)
    assert count(path).packets == 0


def test_collect_ends_the_reading_when_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    table = FlowTable()
    read_capture(str(path), table, "", lambda: False)
    assert table.packets == 50, "one block was read, and the next was not asked for"


def test_a_pipe_is_read_like_a_file(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    if (child := os.fork()) == 0:
        with fifo.open("wb", buffering=0) as out:
            for start in range(0, len(DATA), 11):
                out.write(DATA[start : start + 11])
        os._exit(0)
    assert count(fifo).accepted == 50
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("content", "words", "packets"),
    [
        (b"", "is empty (0 bytes)", 0),
        (b"root:x:0:0:root:/root:/bin/bash\n", "not a capture file", 0),
        (DATA[:10], "cut off inside its file header (10 bytes)", 0),
        (DATA[:-1], "cut off in a packet at offset", 49),
        (pcap([(T0, bytes(60))], link_type=147), "link type 147 is not supported", 1),
        (DATA + struct.pack("<IIII", 0, 0, 2**30, 60) + bytes(60), "is damaged: a packet record claims", 50),
        (gzip.compress(DATA, mtime=0)[:5], "cannot be unpacked", 0),
        (gzip.compress(DATA, 0, mtime=0)[:-2000], "cannot be unpacked", 21),
        (gzip.compress(DATA, mtime=0)[:-8] + bytes(8), "cannot be unpacked", 50),
    ],
)
def test_a_bad_capture_is_one_line_and_what_was_readable_counts(
    tmp_path: Path, content: bytes, words: str, packets: int
) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    message, table = problem(path)
    assert words in message
    assert str(path) in message
    assert table.packets == packets


def test_a_missing_file_a_directory_and_a_bad_filter_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(DATA)
    assert "No such file" in problem(tmp_path / "missing")[0]
    assert "Is a directory" in problem(tmp_path)[0]
    assert "syntax error" in problem(path, "tcp prt 80")[0]


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), ValueError("a bug"), EOFError("a bug")])
def test_what_collect_raises_is_not_the_captures_fault(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(DATA))

    def collect() -> bool:
        raise error

    with pytest.raises(type(error)) as caught:
        read_capture(str(path), FlowTable(), "", collect)
    assert caught.value is error


def test_a_pipe_left_before_its_first_byte_is_not_called_empty(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    both = os.open(fifo, os.O_RDWR)
    try:
        read_capture(str(fifo), FlowTable(), "", lambda: False)
    finally:
        os.close(both)


def test_bytes_that_do_not_unpack_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.pcap.gz"
    packed = bytearray(gzip.compress(os.urandom(4000)))
    packed[10:30] = b"\xff" * 20
    path.write_bytes(packed)
    assert "cannot be unpacked" in problem(path)[0]


def test_what_can_be_checked_is_checked_before_anything_is_counted(tmp_path: Path) -> None:
    path, fifo = tmp_path / "a.pcap", tmp_path / "pipe"
    path.write_bytes(DATA)
    os.mkfifo(fifo)
    check_capture(str(path), "tcp port 80")
    check_capture(str(fifo), "")  # and nobody waits for its writer
    check_capture(str(path), "type mgt")  # of another link type
    for name, expression, words in (
        (tmp_path / "none", "", "No such file"),
        (tmp_path, "", "Is a directory"),
        (path, "tcp prt 80", "syntax error"),
    ):
        with pytest.raises(CaptureFileError, match=words):
            check_capture(str(name), expression)


def test_an_interface_of_a_link_type_not_decoded_is_no_error_while_it_is_silent(tmp_path: Path) -> None:
    def interface(link_type: int) -> bytes:
        return struct.pack("<IIHHII", 1, 20, link_type, 0, 65535, 20)

    def packet(number: int, frame: bytes) -> bytes:
        body = struct.pack("<IIIII", number, 0, 0, len(frame), len(frame)) + frame + bytes(-len(frame) % 4)
        return struct.pack("<II", 6, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))

    path = tmp_path / "two.pcapng"
    header = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    frame = tcp_frame(CLIENT, SERVER, SYN)
    silent = header + interface(1) + interface(147) + packet(0, frame)
    path.write_bytes(silent)
    assert count(path).accepted == 1
    path.write_bytes(silent + packet(1, frame))
    assert "link type 147 is not supported" in problem(path)[0]
