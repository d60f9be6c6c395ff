"""What the first line of SSH tells: the banner, the protocol's version, the software and its comment."""

from __future__ import annotations

import re
from typing import Final

from sensor.inspect.wiretext import LONGEST_NAME, LONGEST_VALUE, wire_text

# RFC 4253, 4.2: lines may come before a server's; its own has 255 bytes at most, CR and LF among them.
_BANNER: Final = re.compile(rb"(?:\A|\n)(SSH-([12]\.\d{1,2})-([^\x00-\x20\x7f]*)(?: ([^\r\n]*))?)\r?(?:\n|\Z)")
_WITHIN: Final = 2048

Facts = dict[str, str | int]


def banner_facts(data: bytes) -> Facts | None:
    """Return what a direction's first bytes tell, or None when they hold no banner.

    ``ssh_banner`` is the whole line, ``ssh`` the version, ``ssh_software`` and ``ssh_comment`` what it names.
    """
    found = _BANNER.search(data[:_WITHIN])
    if found is None or len(found[1]) > LONGEST_VALUE:
        return None
    banner, version, software, comment = (wire_text(part or b"") for part in found.groups())
    facts: Facts = {"ssh_banner": banner, "ssh": version}
    if software:
        facts["ssh_software"] = software[:LONGEST_NAME]
    if comment:
        facts["ssh_comment"] = comment[:LONGEST_NAME]
    return facts
