"""Notices posted to real web servers, of which some stall, fail, redirect or drip."""

from __future__ import annotations

import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest
from notices import notice
from web import Web, status, web

from correlator.notify.formats.places import parse_url
from correlator.notify.output import OutputError
from correlator.notify.webhook import WebhookOutput

LIMIT_S = 0.3


def output(url: str, token_file: Path | None = None, timeout_s: float = 20.0) -> WebhookOutput:
    return WebhookOutput(parse_url(url), token_file, None, timeout_s)


def test_an_alarm_is_posted_as_json() -> None:
    with web(status(204)) as server:
        told = notice()
        output(server.url).deliver(told)
        (posted,) = server.posted
        assert posted["text"].startswith("medium alarm (new, channel-threshold) 10.0.0.1 -> ")
        assert {name: value for name, value in posted.items() if name not in ("text", "event")} == told.alarm
        assert server.headers[0]["Content-Type"] == "application/json"
        assert "Authorization" not in server.headers[0]


def test_the_token_is_read_each_time(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with web(status(200)) as server:
        poster = output(server.url, token)
        for secret in ("one", "two"):
            token.write_text(f"{secret}\n")
            poster.deliver(notice())
        assert [headers["Authorization"] for headers in server.headers] == ["Bearer one", "Bearer two"]
        for bad in (b"", b"a\r\nX: y", b"\xff"):
            token.write_bytes(bad)
            with pytest.raises(OutputError, match=r"token_file"):
                poster.deliver(notice())
        assert len(server.posted) == 2


@pytest.mark.parametrize(
    ("code", "lasting"), [(500, False), (503, False), (429, False), (408, False), (400, True), (404, True), (401, True)]
)
def test_whether_the_same_again_may_succeed_is_told_by_the_status(code: int, lasting: bool) -> None:
    with web(status(code)) as server, pytest.raises(OutputError, match=f"answered {code}") as caught:
        output(server.url).deliver(notice())
    assert caught.value.lasting == lasting


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_named(code: int) -> None:
    with web(status(200)) as other, web(status(code, Location=other.url)) as server:
        with pytest.raises(OutputError, match=f"answered {code} .* to {other.url}: name that address") as caught:
            output(server.url).deliver(notice())
        assert caught.value.lasting
        assert other.posted == []


def _stalls(request: BaseHTTPRequestHandler) -> None:
    server: Web = request.server.web  # type: ignore[attr-defined]
    server.over.wait(20)


def _drips(request: BaseHTTPRequestHandler) -> None:
    server: Web = request.server.web  # type: ignore[attr-defined]
    request.wfile.write(b"HTTP/1.1 ")
    while not server.over.wait(0.02):
        request.wfile.write(b"x")


@pytest.mark.parametrize("answer", [_stalls, _drips])
def test_a_server_that_stalls_or_drips_is_given_up_after_the_time_limit(answer) -> None:
    with web(answer) as server:
        server.server.web = server  # type: ignore[attr-defined]
        began = time.monotonic()
        with pytest.raises(OutputError, match=r"no answer in 0\.3 s") as caught:
            output(server.url, timeout_s=LIMIT_S).deliver(notice())
        assert time.monotonic() - began < 10
        assert not caught.value.lasting


def test_a_server_that_drips_after_its_status_has_answered() -> None:
    def drips(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not server.over.wait(0.02):
            request.wfile.write(b"x")

    with web(drips) as server:
        output(server.url, timeout_s=LIMIT_S).deliver(notice())


@pytest.mark.parametrize(
    "answer",
    [b"", b"220 mail.example ESMTP\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500],
)
def test_what_is_no_answer_is_one_line(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            stream, _ = server.accept()
            with stream:
                stream.recv(65536)
                stream.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        with pytest.raises(OutputError, match=r"cannot post to 127\.0\.0\.1") as caught:
            output(f"http://127.0.0.1:{server.getsockname()[1]}/").deliver(notice())
        thread.join(20)
        assert "\n" not in str(caught.value)


def test_a_server_without_a_certificate_that_is_known_gets_nothing(tmp_path: Path) -> None:
    with web(status(200)) as server, pytest.raises(OutputError, match=r"cannot post to 127\.0\.0\.1"):
        output(server.url.replace("http:", "https:"), timeout_s=5).deliver(notice())
    assert server.posted == []
    poster = WebhookOutput(parse_url("https://127.0.0.1:1/"), None, tmp_path / "none.pem", 1)
    with pytest.raises(OutputError, match="cannot read ca_file"):
        poster.deliver(notice())


def test_what_is_being_posted_can_be_ended_by_another_thread() -> None:
    with web(_stalls) as server:
        server.server.web = server  # type: ignore[attr-defined]
        poster = output(server.url)
        failed: list[OutputError] = []

        def deliver() -> None:
            try:
                poster.deliver(notice())
            except OutputError as error:
                failed.append(error)

        thread = Thread(target=deliver)
        thread.start()
        while thread.is_alive():
            if server.posted:
                poster.abort()
            thread.join(0.01)
        assert len(failed) == 1
