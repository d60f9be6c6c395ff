"""Payload is kept within bounds, and written to files that were not there before."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from capture_events import T0, S, began
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from sensor.output.payloads import KeptPayload, PayloadFiles, payload_name
from sensor.stream.events import CLIENT, SERVER


def test_a_file_is_named_after_time_sender_receiver_and_protocol() -> None:
    assert payload_name(began(), CLIENT) == "1700000000-10.1.1.9-1025-10.1.2.2-3128-tcp"
    assert payload_name(began(protocol=17), SERVER, T0 + 5 * S) == "1700000005-10.1.2.2-3128-10.1.1.9-1025-udp"
    six = began(protocol=47)._replace(client_ip=socket.inet_pton(socket.AF_INET6, "2001:db8::1"))
    assert payload_name(six, CLIENT).endswith("-2001:db8::1-1025-10.1.2.2-3128-ip47")


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 1), st.binary(min_size=1, max_size=300)), max_size=60))
def test_what_is_kept_has_bounds_and_what_had_to_go_is_counted(pieces: list[tuple[int, int, bytes]]) -> None:
    kept = KeptPayload(flow_bytes=1500, total_bytes=3000)
    whole = dict.fromkeys(range(1, 5), 0)
    last: dict[int, bytes] = {}
    for flow_id, direction, data in pieces:
        kept.add(flow_id, direction, data)
        whole[flow_id] += len(data)
        last[flow_id] = data
        assert kept.held_bytes <= 3000
    for flow_id, size in whole.items():
        chunks, lost = kept.take(flow_id)
        assert sum(len(data) for _, data in chunks) + lost == size
        assert not chunks or chunks[-1][1] == last[flow_id]
    assert kept.held_bytes == 0


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a.2").symlink_to("elsewhere")
    files = PayloadFiles(str(tmp_path))
    files.append(files.create("a"), b"new")
    files.close()
    assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a.3").read_bytes() == b"new"
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "a.3").stat().st_mode & 0o777 == 0o600


def test_few_files_are_open_at_a_time_and_all_get_their_bytes(tmp_path: Path) -> None:
    files = PayloadFiles(str(tmp_path / "new"), open_files=3)
    paths = [files.create(str(number)) for number in range(20)]
    for letter in (b"a", b"b"):
        for path in paths:
            files.append(path, letter)
    assert len(files._open) == 3
    files.close()
    assert {Path(path).read_bytes() for path in paths} == {b"ab"}
    assert files.created
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_file_has_a_bound_and_what_is_more_is_counted(tmp_path: Path) -> None:
    files = PayloadFiles(str(tmp_path), file_bytes=10)
    path = files.create("a")
    files.append(path, b"123456")
    files.append(path, b"7890ab")
    files.append(path, b"cd")
    files.close()
    assert (Path(path).read_bytes(), files.cut_bytes) == (b"1234567890", 4)


def test_what_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is no directory"):
        PayloadFiles(str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot write .*No such file"):
        PayloadFiles(str(tmp_path / "no" / "such"))
