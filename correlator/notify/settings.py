"""[outputs]: where alarms are delivered to; everything is off by default."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from correlator.detect.alarm import Severity
from correlator.notify.formats.places import parse_address, parse_url
from correlator.notify.formats.syslog import FACILITIES


class FileOutputSettings(Struct, frozen=True, kw_only=True):
    """[outputs.file] and [outputs.eve]: alarms appended to a file, one JSON object a line."""

    path: str = ""
    severity: Severity = Severity.LOW


class SyslogSettings(Struct, frozen=True, kw_only=True):
    """[outputs.syslog]: alarms to a syslog collector, RFC 5424."""

    address: str = ""
    facility: str = "local0"
    timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    severity: Severity = Severity.LOW

    def __post_init__(self) -> None:
        """Refuse addresses and facilities that there are none of."""
        if self.facility not in FACILITIES:
            raise ValueError(f"facility is {self.facility!r:.40}; it is one of {', '.join(FACILITIES)}")
        if self.address:
            parse_address(self.address)


class WebhookSettings(Struct, frozen=True, kw_only=True):
    """[outputs.webhook]: alarms posted as JSON."""

    url: str = ""
    token_file: str = ""
    ca_file: str = ""
    timeout_s: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    severity: Severity = Severity.MEDIUM

    def __post_init__(self) -> None:
        """Refuse what is no address."""
        if self.url:
            parse_url(self.url)


class HookSettings(Struct, frozen=True, kw_only=True):
    """[outputs.hook]: a program that is run for each alarm."""

    command: tuple[str, ...] = ()
    timeout_s: Annotated[float, Meta(ge=0.1, le=3600)] = 30.0
    at_once: Annotated[int, Meta(ge=1, le=64)] = 4
    severity: Severity = Severity.MEDIUM

    def __post_init__(self) -> None:
        """Refuse a program that would be looked for."""
        if self.command and not self.command[0].startswith("/"):
            raise ValueError(
                f"command is {self.command[0]!r:.80}; write the program's whole path, as /usr/local/bin/page"
            )


class OutputSettings(Struct, frozen=True, kw_only=True):
    """[outputs]: where alarms go that are new, or more severe than they were."""

    room: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    finish_s: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    file: FileOutputSettings = FileOutputSettings()
    eve: FileOutputSettings = FileOutputSettings()
    syslog: SyslogSettings = SyslogSettings()
    webhook: WebhookSettings = WebhookSettings()
    hook: HookSettings = HookSettings()
