"""Bodies of HTTP messages: found, joined, decoded, and bounded."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path

import brotli
import pytest
from assembled import Talk, assembled
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from sensor.stream.events import SERVER, Event
from sensor.streams import httpbody as module
from sensor.streams.files import OutputFiles
from sensor.streams.httpbody import Bodies, decoder_of
from sensor.streams.names import Template
from sensor.streams.recorder import Recorder
from sensor.streams.report import Body

TEXT = b"what the page says " * 500


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(body: bytes, *headers: str) -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *headers, "", ""]).encode()
    parts = [body[start : start + 1000] for start in range(0, len(body), 1000)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def bodies(directory: Path, batches: Iterable[list[Event]], **options: bool) -> tuple[Bodies, list[Body]]:
    files = OutputFiles(directory, 10)
    made: list[Body] = []
    contents = Bodies(files, **options)
    recorder = Recorder(files, Template("%a"), lambda one: made.extend(contents.of(one.name)), contents=contents)
    for events in batches:
        recorder.take(events)
    recorder.close()
    files.close()
    return contents, made


def said(directory: Path, *stretches: bytes, **options: bool) -> tuple[dict[str, int], dict[str, bytes]]:
    talk = Talk()
    for stretch in stretches:
        talk.back(stretch)
    contents, made = bodies(directory, [talk.end()], **options)
    assert (directory / "03128").read_bytes() == b"".join(stretches)
    return dict(contents.counts), {body.name: (directory / body.name).read_bytes() for body in made}


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("identity", TEXT),
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("x-gzip", gzip.compress(TEXT, mtime=0)),
        ("GZip", gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)[2:-4]),
        ("br", brotli.compress(TEXT)),
    ],
    ids=["none", "gzip", "x-gzip", "members", "zlib", "raw", "br"],
)
@pytest.mark.parametrize("message", [answer, chunked], ids=["length", "chunked"])
@pytest.mark.parametrize("step", [1, 7, 10**6])
def test_a_body_is_joined_and_decoded_however_it_arrives(
    tmp_path: Path, encoding: str, packed: bytes, message: object, step: int
) -> None:
    data = message(packed, f"Content-Encoding: {encoding}", "Content-Type: text/html; charset=utf-8")  # type: ignore[operator]
    _, found = said(tmp_path, *[data[start : start + step] for start in range(0, len(data), step)])
    assert found == {"03128-HTTPBODY-001.html": TEXT}


def test_messages_are_numbered_and_those_without_a_body_make_no_file(tmp_path: Path) -> None:
    counts, found = said(
        tmp_path,
        answer(b"one", "Content-Type: image/png"),
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        answer(b"two", "Content-Type: no/such"),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end",
    )
    assert found == {
        "03128-HTTPBODY-001.png": b"one", "03128-HTTPBODY-002.bin": b"two", "03128-HTTPBODY-003.bin": b"to the end"
    }  # fmt: skip
    assert counts == {"bodies": 3}


def test_what_a_client_sends_is_a_body_too(tmp_path: Path) -> None:
    request = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    _, made = bodies(tmp_path, [Talk().out(request).end()], digest=True)
    assert made == [Body("01025-HTTPBODY-001.json", 2, "99914b932bd37a50b983c5e7c90ae93b")]


def test_bytes_stay_packed_when_asked_to_or_when_the_library_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(TEXT, mtime=0)
    _, found = said(tmp_path, answer(packed, "Content-Encoding: gzip"), decode=False)
    assert found == {"03128-HTTPBODY-001.bin": packed}
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert decoder_of(b"br") is None


def test_what_is_not_what_its_header_says_is_kept_as_it_is(tmp_path: Path) -> None:
    counts, found = said(tmp_path, answer(b"no gzip", "Content-Encoding: gzip"))
    assert found == {"03128-HTTPBODY-001.bin": b"no gzip"}
    assert counts["bodies_damaged"] == 1


def test_a_body_damaged_on_the_way_keeps_what_came_before(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 2000, 0))
    packed[300_000:300_010] = bytes(10)
    counts, found = said(tmp_path, answer(bytes(packed), "Content-Encoding: gzip"))
    (body,) = found.values()
    assert counts["bodies_damaged"] == 1
    assert 0 < len(body) <= 512_000


def test_a_gap_ends_the_body_and_what_follows_is_left_alone(tmp_path: Path) -> None:
    talk = Talk().back(answer(b"x" * 100)[:-50]).lost(SERVER, 50).back(answer(b"two"))
    contents, made = bodies(tmp_path, [talk.end()])
    assert [(body.name, body.size) for body in made] == [("03128-HTTPBODY-001.bin", 50)]
    assert contents.counts["bodies_cut_short"] == 1


def test_what_is_no_http_has_no_bodies(tmp_path: Path) -> None:
    assert said(tmp_path, b"SSH", b"-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\nx") == ({}, {})


def test_after_an_upgrade_nothing_is_taken_for_http(tmp_path: Path) -> None:
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    assert said(tmp_path, upgrade, b"\x81\x05hello", answer(b"x")) == ({}, {})


def test_a_bomb_is_cut_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 100_000)
    for encoding, bomb in (("gzip", gzip.compress(bytes(50 << 20))), ("br", brotli.compress(bytes(50 << 20)))):
        directory = tmp_path / encoding
        directory.mkdir()
        counts, found = said(directory, answer(bomb, f"Content-Encoding: {encoding}"), answer(b"after"))
        assert found == {"03128-HTTPBODY-001.bin": bytes(100_000), "03128-HTTPBODY-002.bin": b"after"}
        assert counts == {"bodies": 2, "bodies_cut_short": 1}


def test_bodies_and_headers_without_end_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BODIES", 2)
    counts, found = said(tmp_path, *[answer(b"x")] * 5)
    assert (len(found), counts["bodies_dropped"]) == (2, 1)
    monkeypatch.setattr(module, "MAX_HEADER_BYTES", 100)
    (tmp_path / "more").mkdir()
    header = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200
    assert said(tmp_path / "more", header, b"\r\nContent-Length: 1\r\n\r\nx") == ({}, {})


def test_a_disk_error_is_said_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise UserError("cannot write: full")

    monkeypatch.setattr(OutputFiles, "create", full)
    contents = Bodies(OutputFiles(tmp_path, 1))
    with pytest.raises(UserError, match="cannot write: full"):
        contents.data("a", 0, 1, answer(b"x"))


def test_without_the_library_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    with pytest.raises(UserError, match="the extra http; install it"):
        Bodies(OutputFiles(tmp_path, 1))


@given(st.binary(max_size=200), st.sampled_from([b"", b"gzip", b"deflate", b"br"]), st.integers(0, 400))
def test_nothing_that_a_stranger_sends_ends_the_run(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, encoding: bytes, cut: int
) -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: " + encoding + b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + noise
    said(tmp_path_factory.mktemp("http"), data[:cut], data[cut:], noise)


@pytest.mark.shared
def test_the_body_is_what_tcpflow_takes_out(shared_dir: Path, tmp_path: Path) -> None:
    _, made = bodies(tmp_path, assembled(shared_dir / "data/b_benign/arkime__http-simple-get.pcap"))
    assert [(body.name, body.size) for body in made] == [("00080-HTTPBODY-001.html", 5039)]
