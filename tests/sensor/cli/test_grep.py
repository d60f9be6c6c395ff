"""``tunnelwatch-sensor grep`` as a user runs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from capture_events import conversation
from click.testing import CliRunner, Result
from packets import ACK, SYN, T0, ethernet, ipv4, pcap, tcp_frame, udp
from packets import CLIENT as ONE
from packets import SERVER as OTHER_END
from programs import AS_ROOT, SENSOR, error_line, run

from common.errors import UserError
from sensor.cli import main
from sensor.stream.events import CLIENT, SERVER, Event

# The package has the command under this name.
MODULE = sys.modules["sensor.cli.grep"]
TALK = conversation(
    (CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\n\r\nuid=0(root) gid=0(root)\n")
)
OTHER = conversation((CLIENT, b"SSH-2.0-x\r\n"), (SERVER, b"SSH-2.0-OpenSSH_9.6\r\n"), flow_id=2, port=2000)


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(pcap([]))
    return path


@pytest.fixture
def grep(capture: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs grep over the two flows."""

    def batches(*_: object) -> Iterator[list[Event]]:
        yield TALK
        yield OTHER

    monkeypatch.setattr(MODULE, "batches", batches)

    def grep(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["grep", "-r", str(capture), *AS_ROOT, *arguments])

    return grep


@pytest.mark.parametrize(
    ("arguments", "code", "matches"),
    [
        (["-a", "^SSH-"], 0, 2), (["-c", "^SSH-"], 0, 1), (["-s", "^GET"], 1, 0), (["-i", "-c", "^get"], 0, 1),
        (["-c", "GET", "-s", "200", "-a", "SSH"], 0, 5), (["--rules", "starter"], 0, 3), (["-a", "nothing"], 1, 0),
    ],
)  # fmt: skip
def test_the_exit_code_is_that_of_grep(grep, arguments: list[str], code: int, matches: int) -> None:
    done = grep(*arguments)
    assert (done.exit_code, len(done.stdout.splitlines())) == (code, matches), done.output


def test_matches_come_as_json(grep) -> None:
    rows = [json.loads(line) for line in grep("--json", "-s", r"uid=\d+\((\w+)\)").stdout.splitlines()]
    assert [(row["client"], row["direction"], row["text"]) for row in rows] == [
        ("10.1.1.9:1025", "server", "uid=0(root)")
    ]


def test_context_is_lines_or_bytes(grep) -> None:
    assert grep("-s", "uid=0", "-B", "2").stdout.splitlines()[1:] == [
        "    HTTP/1.1 200 OK",
        "    ",
        "    uid=0(root) gid=0(root)",
    ]
    assert grep("-s", "uid=0", "-C", "6b").stdout.splitlines()[1:] == ["    OK", "    ", "    uid=0(root)"]


def test_inverted_flows_are_listed(grep) -> None:
    done = grep("-v", "-a", "SSH")
    assert (done.exit_code, done.stdout.count("no match in 27 bytes out")) == (0, 1)
    assert grep("-v", "-a", "SSH|GET").exit_code == 1


def test_names_of_files_are_all_that_x_prints(grep, tmp_path: Path) -> None:
    done = grep("-a", "uid=", "-l", str(tmp_path / "out"), "-x")
    names = done.stdout.splitlines()
    assert [Path(name).name for name in names] == [
        "1700000000-10.1.1.9-1025-10.1.2.2-3128-tcp", "1700000000-10.1.2.2-3128-10.1.1.9-1025-tcp",
    ]  # fmt: skip
    assert all(Path(name).stat().st_size for name in names)


def test_patterns_come_from_files_for_each_side(grep, tmp_path: Path) -> None:
    (tmp_path / "p").write_text("^GET\n^HTTP\n")
    assert "> 10.1.2.2" in grep("-f", str(tmp_path / "p")).stdout
    assert "< 10.1.2.2" in grep("-F", str(tmp_path / "p")).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-a", "foo("], "-a: bad pattern 'foo(': missing ), unterminated subpattern at position 3"),
        ([], "nothing to look for"),
        (["-a", "x", "-k"], "-k cannot kill streams yet"),
        (["-a", "x", "-d", "eth0"], "an interface and a file at once; give -d or -r"),
        (["-a", "x", "-x", "--json"], "-x and --json both"),
        (["-a", "x", "-A", "3", "-B", "64b"], "in lines or in bytes"),
        (["-f", "/no/such"], "cannot read /no/such: No such file"),
        (["--rules", "/no/such"], "cannot read /no/such"),
        (["-a", "x", "-l", "/dev/null"], "/dev/null is no directory"),
        (["-a", "x", "tcp", "prot", "80"], "bad filter"),
        (["-a", "x", "-r", "/no/such.pcap"], "cannot read /no/such.pcap"),
    ],
)
def test_an_error_is_one_line_and_exit_code_2(grep, arguments: list[str], words: str) -> None:
    done = grep(*arguments)
    assert (done.exit_code, words in error_line(done.stderr), done.stdout) == (2, True, ""), done.output


@pytest.mark.parametrize("amount", ["101", "5000b", "x", "-1"])
def test_context_has_a_bound(grep, amount: str) -> None:
    done = grep("-a", "x", "-C", amount)
    assert (done.exit_code, "is no context" in done.stderr) == (2, True)


def test_an_input_that_breaks_is_an_error_after_what_was_found(grep, monkeypatch: pytest.MonkeyPatch) -> None:
    def batches(*_: object) -> Iterator[list[Event]]:
        yield TALK[:-1]
        raise UserError("a.pcap is cut off")

    monkeypatch.setattr(MODULE, "batches", batches)
    done = grep("-s", "gid=0.*")
    assert (done.exit_code, done.stdout.count("gid=0(root)"), done.stderr) == (2, 1, "error: a.pcap is cut off\n")


def test_a_pattern_that_may_take_long_is_named(grep) -> None:
    assert "pattern (a+)+b repeats what repeats" in grep("-a", "(a+)+b").stderr


def test_without_an_input_the_command_says_what_to_give() -> None:
    code, _, stderr = run(SENSOR, "grep", "-a", "x")
    assert (code, "give a capture with -r" in error_line(stderr)) == (2, True)


def test_streams_are_put_together_before_they_are_searched(tmp_path: Path) -> None:
    frames = [
        (T0, tcp_frame(ONE, OTHER_END, SYN, seq=100)),
        (T0 + 2, tcp_frame(ONE, OTHER_END, ACK, b"H-2.0-x\r\n", seq=103)),
        (T0 + 1, tcp_frame(ONE, OTHER_END, ACK, b"SS", seq=101)),
        (T0 + 3, ethernet(ipv4("10.1.1.9", "10.1.2.2", 17, udp(1025, 53, b"SSH-in-dns")))),
    ]
    (tmp_path / "a.pcap").write_bytes(pcap(frames))
    code, out, stderr = run(SENSOR, "grep", "-a", "^SSH-", "--json", "-r", str(tmp_path / "a.pcap"), *AS_ROOT)
    assert (code, stderr) == (0, "")
    assert [(line["protocol"], line["offset"]) for line in map(json.loads, out.splitlines())] == [
        ("tcp", 0),
        ("udp", 0),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_becomes_nobody_who_may_not_write_everywhere(capture: Path, tmp_path: Path) -> None:
    code, _, stderr = run(SENSOR, "grep", "-a", "x", "-r", str(capture), "-l", str(tmp_path))
    assert (code, "nobody may not write to" in error_line(stderr)) == (2, True)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("zeek__ssh-on-port-80", "ssh-banner"), ("zeek__reverse-ssh", "ssh-banner"),
        ("ndpi__http_connect", "http-connect"),
        ("arkime__https-connect", "http-connect"), ("zeek__get-to-ssh-server", "ssh-banner"),
    ],
)  # fmt: skip
def test_our_rules_find_what_recorded_tunnels_show(shared_dir: Path, name: str, rule: str) -> None:
    path = shared_dir / "data/a_tunnel" / f"{name}.pcap"
    done = CliRunner().invoke(main, ["grep", "-r", str(path), "--rules", "starter", "--json", "-u", "root"])
    assert rule in {json.loads(line)["pattern"] for line in done.stdout.splitlines()}, done.output
