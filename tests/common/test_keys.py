"""Keys are one spelling of 32 bytes; their files are nobody else's and never written over."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from common.errors import UserError
from common.keys import (
    KEY_CHARACTERS,
    default_key_path,
    is_key,
    make_key_pair,
    quoted,
    read_key_file,
    read_public_key,
    write_key_file,
)


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_key_file(path, "prog keygen")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_are_a_key_as_z85(raw: bytes) -> None:
    assert is_key(z85.encode(raw).decode())


@given(st.text(max_size=50))
def test_only_the_one_spelling_of_32_bytes_is_a_key(text: str) -> None:
    if is_key(text):
        assert z85.encode(z85.decode(text)).decode() == text
        assert len(z85.decode(text)) == 32


@pytest.mark.parametrize("text", ["", "a" * 39, "a" * 41, "a" * 39 + " ", "a" * 39 + '"', "é" * 40, "#" * 40, "a" * 45])
def test_what_is_nearly_a_key_is_none(text: str) -> None:
    assert not is_key(text)


def test_a_pair_belongs_together_and_its_public_key_looks_like_no_option_and_no_path() -> None:
    for _ in range(200):
        pair = make_key_pair()
        assert is_key(pair.public)
        assert is_key(pair.secret)
        assert pair.public[0].isalnum()
        assert zmq.curve_public(pair.secret.encode()).decode() == pair.public


def test_a_key_comes_back_from_the_shell_as_it_went() -> None:
    key = "a!$&*()[]{}<>^#%@:;"
    assert shlex.split(f"echo {quoted(key)}")[1] == key


class TestFiles:
    def test_a_written_pair_is_read_back_and_only_its_owner_can(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "down" / "a.key"
        old = os.umask(0)
        try:
            pair = write_key_file(path)
        finally:
            os.umask(old)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read_key_file(path, "keygen") == pair

    def test_a_file_that_exists_is_never_written_over(self, tmp_path: Path) -> None:
        path = tmp_path / "a.key"
        pair = write_key_file(path)
        with pytest.raises(UserError, match=r"exists and is not written over; its public key is ") as caught:
            write_key_file(path)
        assert pair.public in str(caught.value)
        assert pair.secret not in str(caught.value)
        assert read_key_file(path, "keygen") == pair

    def test_a_link_that_leads_elsewhere_is_not_followed_when_writing(self, tmp_path: Path) -> None:
        (tmp_path / "a.key").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(UserError, match="exists and is not written over"):
            write_key_file(tmp_path / "a.key")
        assert not (tmp_path / "elsewhere").exists()

    def test_where_no_file_can_be_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match=r"cannot make the directory .* give another path"):
            write_key_file(tmp_path / "file" / "a.key")

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o610, 0o777])
    def test_a_file_that_others_can_reach_is_refused_with_the_command_that_mends_it(
        self, tmp_path: Path, mode: int
    ) -> None:
        path = tmp_path / "a b.key"
        pair = write_key_file(path)
        path.chmod(mode)
        said = refused(path)
        assert f"mode {mode:04o}" in said
        assert said.endswith(f"run chmod 600 {shlex.quote(str(path))}")
        assert pair.secret not in said
        path.chmod(0o400)
        assert read_key_file(path, "keygen") == pair

    def test_a_file_of_somebody_else_is_refused(self, tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root, to give a file away")
        path = tmp_path / "a.key"
        write_key_file(path)
        os.chown(path, 65534, -1)
        assert refused(path).endswith(f"run chown 0 {path}")

    def test_no_file_names_the_command_that_makes_one(self, tmp_path: Path) -> None:
        said = refused(tmp_path / "a.key")
        assert said == f"no key file {tmp_path}/a.key: make one with 'prog keygen {tmp_path}/a.key'"

    @pytest.mark.parametrize(
        "content",
        [
            b"", b"\xff\xfe", b"public_key = 1", b"x" * 5000, b"[" * 999, b"public_key = 'short'\nsecret_key = 'short'",
            b'public_key = "%s"' % (b"a" * 40),
        ],
    )  # fmt: skip
    def test_what_is_no_key_file_is_one_line(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "a.key"
        path.write_bytes(content)
        path.chmod(0o600)
        assert "make another with 'prog keygen PATH'" in refused(path)

    def test_keys_that_do_not_belong_together_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.key"
        path.write_text(f'public_key = "{make_key_pair().public}"\nsecret_key = "{make_key_pair().secret}"\n')
        path.chmod(0o600)
        assert "do not belong together" in refused(path)

    @pytest.mark.timeout(10)
    def test_a_directory_and_a_pipe_are_no_key_files(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe", 0o600)
        for path in (tmp_path, tmp_path / "pipe"):
            assert refused(path)


class TestPublicKeys:
    def test_one_is_taken_as_text_and_from_a_file(self, tmp_path: Path) -> None:
        key = make_key_pair().public
        (tmp_path / "a.pub").write_text(f"{key}\n")
        assert read_public_key(key, "keygen") == key
        assert read_public_key(str(tmp_path / "a.pub"), "keygen") == key

    @pytest.mark.parametrize("text", ["", "yFa3", "/no/such/file", "a" * 300, "a\0b"])
    def test_neither_is_one_line_that_names_the_command(self, text: str) -> None:
        with pytest.raises(UserError) as caught:
            read_public_key(text, "prog keygen")
        assert "\n" not in str(caught.value)
        assert "prog keygen" in str(caught.value) or "cannot read" in str(caught.value)

    def test_a_file_without_one_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "a.pub").write_bytes(b"\xff" * KEY_CHARACTERS)
        with pytest.raises(UserError, match=r"holds no public key: .*'prog keygen' prints"):
            read_public_key(str(tmp_path / "a.pub"), "prog keygen")

    def test_a_path_that_could_be_a_key_is_a_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        path = "./".ljust(KEY_CHARACTERS, "a")
        key = make_key_pair().public
        Path(path).write_text(key)
        assert read_public_key(path, "keygen") == key


def test_the_default_place_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key_path("a.key") == tmp_path / "tunnelwatch/a.key"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_key_path("a.key") == Path("/etc/tunnelwatch/a.key")
