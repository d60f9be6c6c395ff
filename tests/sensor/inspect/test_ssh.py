"""Banners of SSH: what they tell, and that any bytes are one or None."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import tcp_streams

from common.kinds import FACTS
from sensor.inspect.ssh import banner_facts

OPENSSH = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"


def test_a_banner_with_a_comment() -> None:
    assert banner_facts(OPENSSH + b"\x00\x00\x04\x5c") == {
        "ssh_banner": "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3",
        "ssh": "2.0",
        "ssh_software": "OpenSSH_9.2p1",
        "ssh_comment": "Debian-2+deb12u3",
    }


@pytest.mark.parametrize(
    ("data", "software"),
    [(b"SSH-1.99-Cisco-1.25\n", "Cisco-1.25"), (b"Hello\r\nthere\r\nSSH-2.0-x\r\n", "x"), (b"SSH-2.0-\r\n", None)],
)
def test_the_software(data: bytes, software: str | None) -> None:
    facts = banner_facts(data)
    assert facts is not None
    assert facts.get("ssh_software") == software


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-",
        b"SSH-3.0-x\r\n",
        b"SSH-2.0-a\x00b\r\n",
        b"x SSH-2.0-x\r\n",
        b"SSH-2.0-" + b"a" * 300,
        b"GET / HTTP/1.1",
    ],
)
def test_what_is_no_banner_is_none(data: bytes) -> None:
    assert banner_facts(data) is None


def test_what_is_kept_is_bounded_and_printable() -> None:
    facts = banner_facts(b"SSH-2.0-" + b"\xff" * 100 + b" \x1b[2J\t" + b"c" * 100 + b"\r\n")
    assert facts is not None
    assert FACTS.check(facts)
    assert len(str(facts["ssh_software"])) == len(str(facts["ssh_comment"])) == 64
    assert len(str(facts["ssh_banner"])) == 255


@given(st.binary(max_size=400) | st.binary(max_size=300).map(lambda rest: b"SSH-2.0-" + rest))
def test_any_bytes_give_facts_or_none(data: bytes) -> None:
    facts = banner_facts(data)
    assert facts is None or FACTS.check(facts)


@pytest.mark.shared
def test_the_ends_of_a_reverse_shell(shared_dir: Path) -> None:
    (stream,) = tcp_streams(shared_dir / "data" / "a_tunnel" / "zeek__reverse-ssh.pcap")
    out, in_ = banner_facts(stream.out), banner_facts(stream.in_)
    assert out is not None
    assert in_ is not None
    assert "dropbear" in str(out["ssh_software"])
    assert "AsyncSSH" in str(in_["ssh_software"])
