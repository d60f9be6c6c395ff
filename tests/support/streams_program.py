"""``tunnelwatch-sensor streams`` over the assembler of tests, as a program of its own.

An input named ``waits`` never brings anything more; ``damaged`` ends with the error of a capture that is cut off.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from streams import assembled

from common.errors import UserError
from sensor.capture.pcapfile import Opener
from sensor.cli import main
from sensor.stream.events import Event


def stream_events(files: Sequence[str], _expression: str, _opener: Opener) -> Iterator[list[Event]]:
    """What the captures hold, one after the other."""
    for name in files:
        yield from assembled(Path(name))
        if Path(name).stem == "waits":
            sys.stderr.write("waiting\n")
            sys.stderr.flush()
            time.sleep(60)
        if Path(name).stem == "damaged":
            raise UserError(
                f"{name} is cut off in a packet at offset 1 (2 bytes left); the packets before it were counted"
            )


if __name__ == "__main__":
    # The package's attribute of that name is the command.
    vars(sys.modules["sensor.cli.streams"])["stream_events"] = stream_events
    main()
