"""The names of TLS cipher suites, by their numbers, as dpkt has them from IANA's registry of TLS parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

# dpkt's names for no suite at all, and its short ones for two signals.
_NO_SUITE: Final = frozenset(("GREASE", "UNKNOWN_CIPHER"))
_SIGNALS: Final = {0x00FF: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 0x5600: "TLS_FALLBACK_SCSV"}


@cache
def cipher_names() -> Mapping[int, str]:
    """Return {number: name}; dpkt is imported with the first TLS server, for that takes 50 ms."""
    from dpkt import ssl_ciphersuites  # noqa: PLC0415 - as above

    names = {code: suite.name for code, suite in ssl_ciphersuites.BY_CODE.items() if suite.name not in _NO_SUITE}
    return names | _SIGNALS
