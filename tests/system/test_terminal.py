"""Whatever names and payloads are on the wire, on the link or in file names, a terminal gets text only."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, header
from corr_link import Sensor, serving
from packets import ACK as TCP_ACK
from packets import SYN, T0, S, ethernet, ipv4, pcap, tcp_frame, udp
from programs import AS_ROOT, CORRELATOR, SENSOR, run
from rec_records import stats
from rec_router import Router

from common.flowlog import encode_frame
from common.link import ACK, REFUSED, WELCOME, pack_hello

# Clear the screen, set the title, colours by one character of eight bits, turn text around, a bell, and a second line.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\r\nroot# "
CLIENT, SERVER = ("192.0.2.1", 40000), ("198.51.100.2", 80)
VIEWS = (
    ("summary",), ("clients",), ("servers",), ("periods",), ("top", "channels"), ("bottom", "servers"), ("flows",),
    ("alarms",), ("sensors",), ("sensors", "list"),
)  # fmt: skip


def is_text(output: bytes | str) -> bool:
    """Whether a terminal does nothing with it but show it."""
    text = output.decode() if isinstance(output, bytes) else output
    return text.replace("\n", "").replace("\t", "").isprintable()


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """A connection whose payloads command a terminal, and frames of noise; its file's name does too."""
    payload = b"GET / HTTP/1.1\r\nHost: " + HOSTILE.encode() + b"\r\n\r\n"
    frames = [
        (T0, tcp_frame(CLIENT, SERVER, SYN, seq=1)),
        (T0 + S, tcp_frame(SERVER, CLIENT, SYN | TCP_ACK, seq=1, ack=2)),
        (T0 + 2 * S, tcp_frame(CLIENT, SERVER, TCP_ACK, payload, seq=2, ack=2)),
        (T0 + 3 * S, ethernet(ipv4(CLIENT[0], SERVER[0], 17, udp(53, 53, HOSTILE.encode())))),
        (T0 + 4 * S, HOSTILE.encode()),
        (T0 + 5 * S, ethernet(HOSTILE.encode())),
    ]
    path = tmp_path / f"{HOSTILE.replace('/', '')}.pcap"
    path.write_bytes(pcap(frames))
    return path


@contextmanager
def only_text() -> Iterator[list[bytes | str]]:
    """What is put into the list is looked at in the end; a program that was silent would show nothing."""
    outputs: list[bytes | str] = []
    yield outputs
    assert sum(map(len, outputs)) > 100
    assert [output for output in outputs if not is_text(output)] == []


@pytest.mark.parametrize("form", ["ndjson", "csv", "zeek"])
def test_packets_and_the_name_of_their_file_are_text_in_every_format_of_the_sensor(capture: Path, form: str) -> None:
    with only_text() as outputs:
        code, out, err = run(SENSOR, "read", str(capture), "--format", form, "-v", "-x", "1")
        assert code == 0
        assert b"192.0.2.1" in out
        assert "potential tunnel" in err
        outputs += [out, err]


def test_what_the_sensor_shipped_is_text_in_every_view_and_format(capture: Path, tmp_path: Path) -> None:
    db, endpoint = tmp_path / "a.db", f"ipc://{tmp_path}/s"
    with serving(db, bind=endpoint) as correlator:
        ship = ("--ship", endpoint, "--plaintext", "--spool", str(tmp_path / "spool"), *AS_ROOT)
        code, _, err = run(SENSOR, "read", str(capture), "-x", "1", *ship)
        assert code == 0, err
        assert correlator.stop() == 0
    with only_text() as outputs:
        for form in ((), ("--json",), ("--ndjson",), ("--csv",)):
            for view in VIEWS:
                code, out, err = run(CORRELATOR, "--db", str(db), *view, *form)
                assert code == 0, err
                outputs += [out, err]
        assert any("owned" in str(output) for output in outputs)  # the file's name is the sensor's source


def test_what_a_hostile_sensor_says_is_text_in_what_serve_says_and_in_the_views(tmp_path: Path) -> None:
    cli = Cli(tmp_path / "a.db")
    with serving(cli.db) as correlator, Sensor(correlator.endpoint) as sensor:
        sensor.say(pack_hello(encode_frame(header()._replace(sensor=HOSTILE))))
        sensor.say([HOSTILE.encode(), HOSTILE.encode()])
        assert sensor.hello(header()).kind == WELCOME
        sensor.send(batch([flow(1), flow(2, host=HOSTILE), flow(3, history=HOSTILE)], 1))
        sensor.send(batch([flow(4)], 2)._replace(kind=HOSTILE))
        sensor.send(
            batch([stats(source=HOSTILE), stats(version=HOSTILE), stats(rejected={HOSTILE: 1})], 3, kind="stats")
        )
        sensor.send(batch([flow(5)], 4))
        sensor.answered_up_to(4)
        assert correlator.stop() == 0
        assert correlator.process.stderr is not None
        said = correlator.process.stderr.read()
    assert "refused" in said
    with only_text() as outputs:
        outputs.append(said)
        for view in VIEWS:
            for form in ((), ("--json",), ("--csv",)):
                result = cli(*view, *form)
                outputs += [result.out, result.err]


class Hostile(Router):
    """A correlator that refuses everything, with a reason that commands a terminal."""

    def send(self, peer: bytes, parts: list[bytes]) -> None:
        if parts[0] == ACK:
            parts = [REFUSED, parts[1], HOSTILE.encode()]
        super().send(peer, parts)


def test_what_a_hostile_correlator_answers_is_text_in_what_the_sensor_says(capture: Path, tmp_path: Path) -> None:
    router, ending = Hostile(f"ipc://{tmp_path}/s"), threading.Event()

    def serve() -> None:
        while not ending.is_set():
            router.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ship = ("--ship", router.endpoint, "--plaintext", "--spool", str(tmp_path / "spool"), *AS_ROOT)
        code, out, err = run(SENSOR, "read", str(capture), *ship)
    finally:
        ending.set()
        thread.join(20)
        router.close()
    assert code == 1
    assert "the correlator refused a frame: " in err
    assert "owned" in err
    with only_text() as outputs:
        outputs += [out, err]


@pytest.mark.parametrize(
    "command",
    [
        (SENSOR, "read", "NAME"), (SENSOR, "read", "BAD"), (SENSOR, "read", "NAME", "-w", "NAME/x"),
        (SENSOR, "read", "BAD", "--config", "NAME"), (SENSOR, "read", "BAD", "NAME", "and", "NAME"),
        (SENSOR, "read", "BAD", "--sensor", "NAME"), (SENSOR, "read", "BAD", "--format", "NAME"),
        (SENSOR, "read", "BAD", "--ship", "ipc://NAME/x", "--plaintext", "--spool", "NAME"),
        (SENSOR, "capture", "-i", "NAME"), (SENSOR, "capture", "-i", "lo", "-u", "NAME"), (SENSOR, "NAME"),
        (SENSOR, "check-link", "--ship", "ipc://NAME", "--plaintext"), (SENSOR, "check-link", "--ship", "tcp://NAME:1"),
        (SENSOR, "check-link", "--ship", "tcp://127.0.0.1:1", "--key", "NAME", "--correlator-key", "NAME"),
        (SENSOR, "check-config", "BAD"), (SENSOR, "keygen", "NAME/x"),
        (CORRELATOR, "import", "NAME"), (CORRELATOR, "import", "BAD"), (CORRELATOR, "--db", "BAD", "clients"),
        (CORRELATOR, "--db", "NAME/x", "import", "BAD"), (CORRELATOR, "--config", "BAD", "clients"),
        (CORRELATOR, "clients", "NAME"), (CORRELATOR, "periods", "NAME"), (CORRELATOR, "clients", "--since", "NAME"),
        (CORRELATOR, "alarms", "show", "NAME"), (CORRELATOR, "sensors", "retire", "NAME"), (CORRELATOR, "NAME"),
        (CORRELATOR, "sensors", "add", "NAME", "x"), (CORRELATOR, "sensors", "add", "tap", "NAME"),
        (CORRELATOR, "sensors", "revoke", "NAME"), (CORRELATOR, "keygen", "NAME/x"), (CORRELATOR, "--NAME"),
        (CORRELATOR, "serve", "--plaintext", "--bind", "ipc://NAME/x"), (CORRELATOR, "serve", "--key", "NAME"),
        (CORRELATOR, "serve", "--plaintext", "--bind", "tcp://127.0.0.1:*", "--metrics", "NAME"),
    ],
    ids=lambda command: " ".join([Path(command[0]).name, *command[1:]]),
)  # fmt: skip
def test_names_on_the_command_line_are_text_in_what_goes_wrong(tmp_path: Path, command: tuple[str, ...]) -> None:
    name = HOSTILE.replace("/", "")
    (tmp_path / f"{name}.bad").write_text(f"{HOSTILE}\n")
    words = [word.replace("NAME", name).replace("BAD", f"{name}.bad") for word in command]
    code, out, err = run(*words, cwd=tmp_path)
    assert code in ((0,) if "keygen" in words else (1, 2))  # keygen makes the directory
    assert "owned" in err or "Invalid" in err or "error:" in err
    assert is_text(out), out
    assert is_text(err), err
    assert "Traceback" not in err


def test_a_name_that_is_no_utf8_is_text_too(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\x9b31m.pcap")
    (tmp_path / name).write_bytes(b"x" * 100)
    for program, word in ((SENSOR, "read"), (CORRELATOR, "import")):
        code, out, err = run(program, word, name, cwd=tmp_path)
        assert code == 1
        assert "error:" in err
        assert is_text(out)
        assert is_text(err)
