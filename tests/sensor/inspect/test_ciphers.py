"""The names of cipher suites."""

from __future__ import annotations

import pytest

from sensor.inspect.ciphers import cipher_names


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0x1301, "TLS_AES_128_GCM_SHA256"),
        (0xC02F, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        (0xCCA8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        (0x00FF, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
    ],
)
def test_suites_have_ianas_names(number: int, name: str) -> None:
    assert cipher_names()[number] == name


def test_what_is_no_suite_has_no_name() -> None:
    assert 0x0A0A not in cipher_names()
    assert len(cipher_names()) > 300
