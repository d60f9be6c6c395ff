"""In how many channels of real tunnels each symptom was found, of those in which it was tested for.

Made by bench/tunnel_shares.py from labelled captures of tools: ssh, httptunnel, shells, obfs4, shadowsocks, OpenVPN,
WebSocket tunnels, beacons, exfiltration. Each lasts for minutes, so what takes hours to show is found too seldom here.
"""

from __future__ import annotations

from typing import Final

CHANNELS: Final = 0
"""How many there are."""
TUNNELS: Final[dict[str, tuple[int, int]]] = {}
