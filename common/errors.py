"""The few exceptions that a caller tells apart."""

from __future__ import annotations


class UserError(Exception):
    """Something a person has to mend: one line with the fact, the value and the remedy.

    The command line prints it after ``error:`` and exits with ``exit_code``; no traceback.
    """

    exit_code = 1


class ConfigError(UserError):
    """A configuration file that cannot be used as it is."""


class WireError(ValueError):
    """Bytes from a file or a socket that are not what they claim to be.

    ``reason`` is a short constant word that counters are kept by.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
