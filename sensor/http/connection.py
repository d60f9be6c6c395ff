"""The exchanges of one connection: which response belongs to which request, and what becomes of tunnels."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from common.records import HttpExchange
from sensor.http.exchange import Exchange
from sensor.http.framing import NO_BODY, Body, request_body, response_body
from sensor.http.head import read_headers, read_request_line, read_status_line
from sensor.http.side import Mode, Side
from sensor.http.words import ABSENCES
from sensor.stream.events import CLIENT, SERVER, Began

MAX_WAITING: Final = 64
"""Requests of one connection whose responses have not begun."""
_CUT: Final = frozenset((4, 5))
"""flowEndReason: forced, lack of resources."""
_REQUEST_TIMEOUT: Final = 408
_SWITCHING: Final = 101
_UNKEPT: Final = -1


@dataclass(slots=True)
class Budget:
    """What all connections share."""

    exchanges: int
    """That may be open at once, beyond those there are."""
    uri_bytes: int = 0
    """Characters of a request's target that are kept."""
    dropped: int = 0
    """Exchanges that there was no room for."""


class Connection:
    """Pairs the messages of a connection's two sides; ``take`` the records after each event."""

    def __init__(self, flow: Began, budget: Budget) -> None:
        self.flow = flow
        self.sides = (Side(self, CLIENT), Side(self, SERVER))
        self.stopped = False
        self._budget = budget
        self._done: list[HttpExchange] = []
        self._open: dict[int, Exchange] = {}
        self._waiting: deque[Exchange] = deque()
        self._number = 0
        self._unkept = 0
        self._requests = 0
        self._early: Exchange | None = None
        self._holding: Exchange | None = None
        self._inside = self._just_inside = False
        self._had_body = [False, False]

    def take(self) -> list[HttpExchange]:
        """Return the records of exchanges that are over; once."""
        done = self._done
        if done:
            self._done = []
        return done

    @property
    def buffered_bytes(self) -> int:
        """What is kept of heads that are not whole."""
        return len(self.sides[0].buffer) + len(self.sides[1].buffer)

    def stop(self) -> None:
        """Look at nothing more of it."""
        self.stopped = True
        for side in self.sides:
            side.stop()

    def end(self, end_reason: int) -> None:
        """Take note that the connection is over, and give what there is of its open exchanges."""
        cut = end_reason in _CUT
        for side in self.sides:
            exchange = side.end()
            if exchange is not None and "gap" not in exchange.anomalies:
                exchange.anomalies.add("unfinished" if cut else "body-short")
        for exchange in list(self._open.values()):
            found = exchange.anomalies
            unanswered = exchange.has_request and exchange.response_start_ns is None
            if unanswered and found.isdisjoint(("gap", "cut-head")) and exchange.version != b"0.9":
                missed = self.sides[SERVER].missed
                found.add("gap" if missed else "unfinished" if cut else "no-response")
            self._emit(exchange)

    # -- what the sides tell ---------------------------------------------------------------------

    def head(self, direction: int, data: bytes, start_ns: int, cut: str = "") -> tuple[Exchange, Body] | None:
        """Take a head; return what its body counts for and how it ends, None when it was no head.

        ``cut`` is the anomaly of a head that is not whole.
        """
        first, _, rest = (data[: data.rfind(b"\n") + 1] if cut else data).partition(b"\n")
        read = self._request if direction == CLIENT else self._response
        found = read(first, rest, start_ns)
        if found is not None:
            exchange, body = found
            exchange.head_bytes[direction] += len(data)
            self._had_body[direction] = body.chunked or body.length != 0
            if cut:
                exchange.anomalies -= ABSENCES
                exchange.anomalies.add(cut)
        return found

    def over(self, direction: int, exchange: Exchange, time_ns: int) -> None:
        """Take note that a message is over."""
        if exchange.number not in self._open:
            return
        exchange.over[direction] = True
        exchange.end_ns = max(exchange.end_ns, time_ns)
        if direction == CLIENT and exchange.has_request:
            exchange.request_end_ns = time_ns
            if (exchange.method == b"CONNECT" or exchange.upgrade) and not exchange.has_response:
                self._holding = exchange
                self.sides[CLIENT].hold()
        if exchange.is_over:
            self._emit(exchange)

    def junk(self, direction: int, time_ns: int) -> Exchange | None:
        """Take note of bytes that are no message; return what they count for, if anything."""
        if self._just_inside:  # another protocol in the tunnel, as there should be
            self.stop()
            return None
        if direction == SERVER and self._waiting:
            exchange = self._waiting.popleft()
            exchange.response_start_ns = time_ns
            if exchange.version == b"0.9":
                self.sides[SERVER].answer_without_head(exchange)
            else:
                exchange.anomalies.add("not-http")
            return exchange
        if not self._number:
            return None
        exchange = self._new(time_ns)
        exchange.over[1 - direction] = True
        exchange.anomalies.add("body-long" if self._had_body[direction] else "not-http")
        return exchange

    # -- requests and responses ------------------------------------------------------------------

    def _request(self, first: bytes, rest: bytes, start_ns: int) -> tuple[Exchange, Body] | None:
        line = read_request_line(first)
        if line is None:
            return None
        if line.method == b"PRI" and line.version == b"2.0":  # HTTP/2's preface
            self.stop()
            return None
        headers = read_headers(rest)
        body = request_body(headers.fields)
        if self.sides[SERVER].mode in (Mode.LOST, Mode.GONE):
            self._give_up_waiting()
        exchange, self._early = self._early, None
        if exchange is not None:
            exchange.start_ns = min(exchange.start_ns, start_ns)
        elif len(self._waiting) >= MAX_WAITING or self._budget.exchanges <= 0:
            self._unkept += 1
            self._budget.dropped += 1
            return Exchange(_UNKEPT, start_ns), body
        else:
            exchange = self._new(start_ns)
            self._waiting.append(exchange)
        self._requests += 1
        self._just_inside = False
        exchange.request(line, headers, body, self._budget.uri_bytes)
        if self._inside:
            exchange.anomalies.add("http-in-connect")
        return exchange, body

    def _response(self, first: bytes, rest: bytes, start_ns: int) -> tuple[Exchange, Body] | None:
        line = read_status_line(first)
        if line is None:
            return None
        if line.status < 200 and line.status != _SWITCHING:
            return Exchange(_UNKEPT, start_ns), NO_BODY
        headers = read_headers(rest)
        if self._waiting:
            exchange = self._waiting.popleft()
        elif self._unkept:
            self._unkept -= 1
            return Exchange(_UNKEPT, start_ns), response_body(None, line.status, headers.fields)
        elif self._budget.exchanges <= 0:
            self._budget.dropped += 1
            return Exchange(_UNKEPT, start_ns), response_body(None, line.status, headers.fields)
        else:
            exchange = self._unasked(line.status, start_ns)
        exchange.response_start_ns = start_ns
        is_tunnel = line.status == _SWITCHING or (exchange.method == b"CONNECT" and line.status < 300)
        body = NO_BODY if is_tunnel else response_body(exchange.method, line.status, headers.fields)
        exchange.response(line, headers, body)
        if is_tunnel:
            self._enter(exchange, start_ns)
        elif self._holding is exchange:
            self._let_go(start_ns)
        return exchange, body

    def _enter(self, exchange: Exchange, time_ns: int) -> None:
        """Go into a tunnel: HTTP inside of CONNECT is read on, all else is of no interest."""
        exchange.over[CLIENT] = True
        self.over(SERVER, exchange, time_ns)
        if exchange.status == _SWITCHING:
            self.stop()
            return
        self._inside = self._just_inside = True
        if self._holding is exchange:
            self._let_go(time_ns)

    def _let_go(self, time_ns: int) -> None:
        self._holding = None
        if self.sides[CLIENT].mode is Mode.HELD:
            self.sides[CLIENT].go_on(time_ns)

    def _unasked(self, status: int, start_ns: int) -> Exchange:
        """Return an exchange for a response that no request waits for."""
        exchange = self._new(start_ns)
        client = self.sides[CLIENT]
        if client.mode is Mode.HEAD and client.buffer:
            exchange.anomalies.add("early-response")
            self._early = exchange
            return exchange
        exchange.over[CLIENT] = True
        if client.mode in (Mode.LOST, Mode.GONE):
            exchange.anomalies.add("gap" if self._requests else "no-request")
        elif self._requests and status != _REQUEST_TIMEOUT:
            exchange.anomalies.add("two-responses")
        else:
            exchange.anomalies.add("no-request")
        return exchange

    def _give_up_waiting(self) -> None:
        """Give the exchanges whose responses were not found."""
        while self._waiting:
            exchange = self._waiting.popleft()
            exchange.anomalies.add("gap")
            exchange.over[SERVER] = True
            if exchange.is_over:
                self._emit(exchange)

    def _new(self, time_ns: int) -> Exchange:
        exchange = Exchange(self._number, time_ns)
        self._open[self._number] = exchange
        self._number += 1
        self._budget.exchanges -= 1
        return exchange

    def _emit(self, exchange: Exchange) -> None:
        del self._open[exchange.number]
        self._budget.exchanges += 1
        self._done.append(exchange.record(self.flow))
