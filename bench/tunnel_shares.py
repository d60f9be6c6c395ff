#!/usr/bin/env python3
"""Count in how many labelled channels of tunnels each symptom is tested for and found: correlator/detect/tunnels.py.

    .venv/bin/python bench/tunnel_shares.py             print the table
    .venv/bin/python bench/tunnel_shares.py --write     also into correlator/detect/tunnels.py

The captures are those kept beside the project in ``../shared/data/lab``, each read by the sensor and imported into a
new database, with the default configuration; a channel is counted once in a capture.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/support"))
from lab_runs import ran
from lab_truth import units

ROOT: Final = Path(__file__).resolve().parent.parent
LAB: Final = ROOT.parent / "shared/data/lab"
MODULE: Final = ROOT / "correlator/detect/tunnels.py"
_DAYS: Final = "SELECT client, peer, port, tested, found FROM channel_days"


def counted(name: str, folder: Path) -> tuple[Counter[str], Counter[str], int]:
    """Return in how many tunnels' channels each symptom was tested for and found; and how many channels they are."""
    flows = ran(LAB / f"{name}.pcap", folder).flows
    tunnels = {place for unit in units(LAB, name) if not unit.benign for place in unit.connections}
    channels = {
        (flow["client_ip"], flow["host"].lower() if flow.get("host") else flow["server_ip"], flow["server_port"])
        for flow in flows
        if (flow["client_ip"], flow["client_port"], flow["server_ip"], flow["server_port"]) in tunnels
    }
    tested: Counter[str] = Counter()
    found: Counter[str] = Counter()
    seen = set()
    with closing(sqlite3.connect(folder / f"{name}.pcap.db")) as conn:
        for client, peer, port, of_test, of_find in conn.execute(_DAYS):
            if (client, peer, port) in channels:
                seen.add((client, peer, port))
                tested.update(msgspec.json.decode(of_test))
                found.update(msgspec.json.decode(of_find))
    return tested, found, len(seen)


def main() -> None:
    """Count over all captures."""
    tested: Counter[str] = Counter()
    found: Counter[str] = Counter()
    channels = 0
    for path in sorted(LAB.glob("*.labels.json")):
        name = path.name.removesuffix(".labels.json")
        with tempfile.TemporaryDirectory() as folder:
            more_tested, more_found, more = counted(name, Path(folder))
        tested += more_tested
        found += more_found
        channels += more
        print(f"{name}: {more} channels of tunnels", file=sys.stderr, flush=True)
    lines = "".join(f'    "{name}": ({found[name]}, {tested[name]}),\n' for name in sorted(tested))
    print(f"# {channels} channels\n{lines}", end="")
    if "--write" in sys.argv[1:]:
        text = MODULE.read_text(encoding="utf-8")
        text = re.sub(r"^CHANNELS: Final = \d+$", f"CHANNELS: Final = {channels}", text, flags=re.MULTILINE)
        text = re.sub(r"(?s)(TUNNELS: [^=]*= \{)\n?.*?\}", lambda match: f"{match[1]}\n{lines}}}", text)
        MODULE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
