"""Names from a file like /etc/hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from correlator.names import hosts
from correlator.names.hosts import parse_hosts, read_hosts


def test_the_first_name_of_an_address_stands() -> None:
    found = parse_hosts("10.1.1.9 laptop anna\n# 10.1.1.8 gone\n\n10.1.1.9\tother\r\nFD00::1 six # the new one\n")
    assert found.names == {"10.1.1.9": "laptop", "fd00::1": "six"}
    assert found.bad_lines == 0


def test_what_is_no_name_is_counted_and_left_out() -> None:
    assert parse_hosts("10.1.1.9\nfe80::1%lo0 localhost\n10.1.1.8 ok\n") == ({"10.1.1.8": "ok"}, 2, 1)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    parse_hosts(text)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory; mend hosts_file"):
        read_hosts(tmp_path / "nothing")
    with pytest.raises(UserError, match="Is a directory"):
        read_hosts(tmp_path)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MAX_BYTES", 20)
    path = tmp_path / "hosts"
    path.write_bytes(b"10.1.1.9 a\xff\n")
    assert read_hosts(path).names == {"10.1.1.9": "a\ufffd"}
    path.write_bytes(b"10.1.1.9 a\n" * 2)
    with pytest.raises(UserError, match="more than 20 bytes"):
        read_hosts(path)
