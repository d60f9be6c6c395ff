"""A web server that takes what is posted to it and answers as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Answer:
    """Answer with a status and nothing else."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            request.send_header(name, value)
        request.end_headers()

    return answer


class Web:
    """A server on loopback; ``answers`` are given in turn, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.posted: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.over = Event()
        """Set when the test is over, for answers that wait until then."""
        web, waiting = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.posted.append(json.loads(body))
                web.headers.append(dict(self.headers))
                (waiting.pop(0) if len(waiting) > 1 else waiting[0])(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that goes away is no error
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def web(*answers: Answer) -> Iterator[Web]:
    """Give a server that answers."""
    found = Web(*answers)
    thread = Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        found.server.shutdown()
        thread.join()
        found.server.server_close()
