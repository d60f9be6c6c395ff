"""Names of stream files; what tcpflow 1.6.1 made of the same letters is in the tables."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import UserError
from sensor.streams.names import DEFAULT_TEMPLATE, Facts, Template, template_for

# 2013-11-25T14:55:58.382Z
START = 1_385_391_358_382_163_000
V4 = Facts(bytes([10, 180, 156, 141]), 61450, bytes([10, 180, 156, 249]), 80, None, START)
V6 = Facts(
    socket.inet_pton(socket.AF_INET6, "2001:470:4867:99::21"), 21,
    socket.inet_pton(socket.AF_INET6, "2001:470:1f11:81f:c999:d94:aa7c:2e3e"), 49185, None, START,
)  # fmt: skip
TAGGED = V4._replace(vlan=201)
MANY = V4._replace(number=123_456_789_012, session=7)


@pytest.mark.parametrize(
    ("template", "facts", "count", "name"),
    [
        (DEFAULT_TEMPLATE, V4, 0, "010.180.156.141.61450-010.180.156.249.00080"),
        (DEFAULT_TEMPLATE, V4, 1, "010.180.156.141.61450-010.180.156.249.00080c1"),
        (DEFAULT_TEMPLATE, TAGGED, 0, "010.180.156.141.61450-010.180.156.249.00080--201"),
        (DEFAULT_TEMPLATE, TAGGED, 12, "010.180.156.141.61450-010.180.156.249.00080--201c12"),
        (DEFAULT_TEMPLATE, V4._replace(vlan=0), 0, "010.180.156.141.61450-010.180.156.249.00080--0"),
        (DEFAULT_TEMPLATE, V6, 0, "2001:470:4867:99::21.00021-2001:470:1f11:81f:c999:d94:aa7c:2e3e.49185"),
        ("%T", V4, 0, "2013-11-25T14:55:58Z"),
        ("%t", V4, 0, "1385391358"),
        ("x%V%v", V4, 0, "x"),
        ("x%C%c", V4, 0, "x"),
        ("x%C%c", V4, 3, "xc3"),
        ("x%#", V4, 0, "x0"),
        ("x%#", V4, 3, "x3"),
        ("x", V4, 3, "xc3"),
        ("%G-%M-%K-%N", MANY, 0, "123-456-789-012"),
        ("%N", V4, 0, "000"),
        ("%S", MANY, 0, "00000000000000000007"),
        ("100%%", V4, 0, "100%"),
        ("%A/%a/%B/%b/%c%N.flow", V4, 0, "010.180.156.141/61450/010.180.156.249/00080/000.flow"),
        ("é%a", V4, 0, "é61450"),
    ],
)
def test_letters_stand_for_what_they_do_in_tcpflow(template: str, facts: Facts, count: int, name: str) -> None:
    assert Template(template).name(facts, count) == name


@pytest.mark.parametrize(
    ("flags", "text", "name"),
    [
        ("", None, "010.180.156.141.61450-010.180.156.249.00080"),
        ("c", None, "010.180.156.141.61450-010.180.156.249.00080c0"),
        ("t", None, "1385391358T010.180.156.141.61450-010.180.156.249.00080"),
        ("T", None, "2013-11-25T14:55:58Z010.180.156.141.61450-010.180.156.249.00080"),
        ("k", None, "789/010.180.156.141.61450-010.180.156.249.00080"),
        ("m", None, "456000-456999/456789/010.180.156.141.61450-010.180.156.249.00080"),
        (
            "g", None,
            "123000000-123999999/123456000-123456999/123456789/010.180.156.141.61450-010.180.156.249.00080",
        ),
        ("kt", None, "789/1385391358T010.180.156.141.61450-010.180.156.249.00080"),
        ("MX", None, "010.180.156.141.61450-010.180.156.249.00080"),
        ("k", "x%N", "x012"),
        ("c", "x%N", "x012c0"),
        ("t", "x", "1385391358Tx"),
    ],
)  # fmt: skip
def test_flags_of_f_change_the_template(flags: str, text: str | None, name: str) -> None:
    assert template_for(flags, text).name(MANY) == name


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("%A%", "ends with a single %"),
        ("%E", "Ethernet addresses are not kept"),
        ("x%e", "Ethernet addresses are not kept"),
        ("%q", "%q, which means nothing"),
        ("/tmp/%A", "a path from the root"),
        ("../%A", "no file below"),
        ("%A/../%B", "no file below"),
        ("%A/./%B", "no file below"),
        ("%A//%B", "no file below"),
        ("%A/", "no file below"),
        ("", "no file below"),
        ("%V%v", "no file below"),
        (".%V.", "no file below"),
        ("x/.%C.", "no file below"),
        ("%A\0", "no file below"),
        ("x" * 256, "longer than 255 bytes"),
    ],
)
def test_a_template_that_makes_no_file_below_the_directory_is_refused_in_one_line(template: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        Template(template)
    assert str(caught.value).isprintable()


@given(
    st.text(alphabet=[*"aAbBvVcC#tTNKMGS%./-x"], max_size=20),
    st.builds(
        Facts,
        st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
        st.integers(0, 65535),
        st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
        st.integers(0, 65535),
        st.none() | st.integers(0, 4095),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**40),
        st.integers(0, 2**63 - 1),
    ),
    st.integers(0, 10**9),
)
def test_no_name_from_an_accepted_template_leaves_the_directory(text: str, facts: Facts, count: int) -> None:
    try:
        name = Template(text).name(facts, count)
    except UserError:
        return
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/"))
