"""The names of cipher suites are those that others use."""

from __future__ import annotations

from dpkt import ssl_ciphersuites

from sensor.inspect.ciphers import CIPHER_NAMES

# dpkt's names for no suite at all, and its short ones for two signals.
NO_SUITE = {"GREASE", "UNKNOWN_CIPHER"}
SIGNALS = {0x00FF: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 0x5600: "TLS_FALLBACK_SCSV"}


def test_the_names_are_those_of_dpkt() -> None:
    theirs = {code: suite.name for code, suite in ssl_ciphersuites.BY_CODE.items() if suite.name not in NO_SUITE}
    assert theirs | SIGNALS == CIPHER_NAMES
