"""In how many channels of real tunnels each symptom was found, of those in which it was tested for.

Made by bench/tunnel_shares.py from labelled captures of tools: ssh, httptunnel, shells, obfs4, shadowsocks, OpenVPN,
WebSocket tunnels, beacons, exfiltration. Each lasts for minutes, so what takes hours to show is found too seldom here.
"""

from __future__ import annotations

from typing import Final

CHANNELS: Final = 43
"""How many there are."""
TUNNELS: Final[dict[str, tuple[int, int]]] = {
    "active-slots": (0, 43),
    "beacon-in-connection": (0, 26),
    "beacon-interval": (9, 13),
    "beacon-interval-and-size": (9, 13),
    "client-serves": (1, 1),
    "false-user-agent": (8, 8),
    "foreign-in-tunnel": (10, 16),
    "foreign-protocol": (8, 41),
    "guessed-interval": (3, 12),
    "guessed-interval-and-size": (2, 12),
    "http-trickle": (1, 1),
    "keystroke-echoes": (18, 18),
    "keystrokes": (1, 1),
    "long-channel": (0, 28),
    "long-connection": (0, 43),
    "no-user-agent": (14, 14),
    "openvpn-shaped": (0, 3),
    "outbound-dominant": (6, 43),
    "quiet-connection": (0, 43),
    "random-first-bytes": (3, 32),
    "raw-transfer": (1, 1),
    "reconnecting": (1, 2),
    "slow-exfiltration": (3, 13),
    "small-and-frequent": (12, 12),
    "ssh-shaped": (3, 3),
    "steady-upload": (0, 43),
    "strobe": (0, 43),
    "tls-in-tls": (1, 7),
    "unknown-protocol": (2, 2),
    "upload": (0, 43),
    "upload-at-once": (1, 43),
}
