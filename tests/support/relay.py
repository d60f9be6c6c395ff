"""A TCP relay between sensor and correlator, a process of its own that is told how to misbehave on standard input.

    python relay.py LISTEN_PORT TARGET_HOST TARGET_PORT

Words, one a line: ``cut`` (reset every connection), ``stall`` (read nothing), ``delay SECONDS`` (hold what comes),
``go`` (pass everything on at once), ``shut`` (refuse new connections) and ``open``.  It says ``listening PORT`` first.
A fourth argument is the address to listen on.
"""

from __future__ import annotations

import asyncio
import sys

_CHUNK_BYTES = 1 << 14


class Relay:
    """What it does with the bytes now, and the connections that it has."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._delay_s = 0.0
        self._shut = False
        self._going = asyncio.Event()
        self._going.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def obey(self, line: str) -> None:
        """Do what a word says."""
        word, _, value = line.strip().partition(" ")
        match word:
            case "cut":
                for writer in self._writers:
                    writer.transport.abort()
            case "stall":
                self._going.clear()
            case "delay":
                self._delay_s = float(value)
            case "shut":
                self._shut = True
            case "open":
                self._shut = False
            case "go":
                self._delay_s = 0.0
                self._going.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a connection to one of its own to the target, until either ends."""
        if self._shut:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, back}
        ways = [asyncio.ensure_future(self._pass(reader, back)), asyncio.ensure_future(self._pass(there, writer))]
        self._tasks |= set(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self._tasks -= set(ways)
        self._writers -= {writer, back}
        writer.transport.abort()
        back.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                await self._going.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            return


async def main() -> None:
    """Listen until standard input ends."""
    port, host, target = sys.argv[1:4]
    relay = Relay(host, int(target))
    server = await asyncio.start_server(relay.connected, sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1", int(port))
    sys.stdout.write(f"listening {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    loop = asyncio.get_running_loop()
    words = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(words), sys.stdin)
    while line := await words.readline():
        relay.obey(line.decode())


if __name__ == "__main__":
    asyncio.run(main())
