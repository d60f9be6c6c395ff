from __future__ import annotations

import tomllib
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.settings import checked_settings, dump_settings, load_settings


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    count: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1
    share: float = 0.5
    names: tuple[str, ...] = ()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    deep: Inner = Inner()
    flag: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    name: str = "x"
    limit: int | None = None
    part: Part = Part()
    other: Inner = Inner()


@pytest.fixture
def load(tmp_path):
    def loaded(text: str | bytes):
        path = tmp_path / "s.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(path, Settings)

    return loaded


def test_no_file_is_the_defaults():
    assert load_settings(None, Settings) == Settings()


def test_what_the_file_does_not_say_is_the_default(load):
    assert load("[part.deep]\ncount = 5") == Settings(part=Part(deep=Inner(count=5)))


inner = st.builds(
    Inner,
    count=st.integers(0, 9),
    share=st.floats(allow_nan=False, allow_infinity=False),
    names=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=3).map(tuple),
)
any_settings = st.builds(
    Settings,
    name=st.text(st.characters(codec="utf-8") | st.sampled_from('\x7f\x00\n\\"\u2028'), max_size=20),
    limit=st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    part=st.builds(Part, deep=inner, flag=st.booleans()),
    other=inner,
)


@given(settings=any_settings)
def test_a_dump_reads_back_equal(settings):
    assert checked_settings(tomllib.loads(dump_settings(settings)), Settings, "dump") == settings


def test_a_dump_commands_no_terminal():
    text = dump_settings(Settings(name="a\x1b\x7f\x9b\u202e\U000e0001"))
    assert text.replace("\n", "").isprintable()
    assert tomllib.loads(text)["name"] == "a\x1b\x7f\x9b\u202e\U000e0001"


def test_a_dump_has_its_tables_by_name():
    assert dump_settings(Settings()) == (
        'name = "x"\n\n[part]\nflag = false\n\n[part.deep]\ncount = 1\nshare = 0.5\nnames = []\n\n'
        "[other]\ncount = 1\nshare = 0.5\nnames = []\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nam = 1", "unknown key 'nam'; the nearest known key is 'name'"),
        ("[part]\nflog = true", "unknown key [part] 'flog'; the nearest known key is 'flag'"),
        ("[part.deep]\ncounts = 1", "unknown key [part.deep] 'counts'; the nearest known key is 'count'"),
        ("[prat]", "unknown key 'prat'; the nearest known key is 'part'"),
        ("qqqq = 1", "unknown key 'qqqq'; the nearest known key is "),
        ('"a\\nb" = 1', "unknown key 'a\\nb'; the nearest known key is "),
        ("name = 1", "name: expected str, got int"),
        ("limit = true", "limit: expected int | null, got bool"),
        ("part = 1", "part: expected object, got int"),
        ("[part]\nflag = 1", "part.flag: expected bool, got int"),
        ("[part.deep]\ncount = 10", "part.deep.count: expected int <= 9"),
        ("[part.deep]\ncount = 1.0", "part.deep.count: expected int, got float"),
        ("[other]\nnames = ['a', 1]", "other.names[1]: expected str, got int"),
        ("[other]\nnames = 'a'", "other.names: expected array, got str"),
        ("name = ", "is not valid TOML: "),
        ("name = 1\nname = 2", "is not valid TOML: "),
        ("limit = " + "9" * 5000, "is not valid TOML: "),
        ("name = " + "[" * 5000, "is not valid TOML: "),
        (b"name = '\xff'", "is not UTF-8 text"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_wrong_is_said_in_one_line_with_the_file(load, text, message):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "s.toml" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name):
    with pytest.raises(ConfigError, match=r"^cannot read .*; check the path and its permissions$"):
        load_settings(tmp_path / name, Settings)


def assert_one_line(message: str) -> None:
    assert "\n" not in message


json_like = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda deeper: (
        st.lists(deeper, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "part", "deep", "count", "x"]), deeper, max_size=3)
    ),
    max_leaves=6,
)


@given(content=st.dictionaries(st.sampled_from(["name", "limit", "part", "other", "x"]), json_like, max_size=3))
def test_any_content_is_settings_or_one_line(content):
    try:
        assert isinstance(checked_settings(content, Settings, "s.toml"), Settings)
    except ConfigError as error:
        message = str(error)
        assert_one_line(message)
