"""Reads a capture with nfstream, as fast as it goes: no dissection, no statistics. bench/run calls it."""

from __future__ import annotations

import sys

from nfstream import NFStreamer


def main() -> None:
    """Count the flows of the capture named on the command line."""
    streamer = NFStreamer(
        source=sys.argv[1],
        decode_tunnels=False,
        n_dissections=0,
        statistical_analysis=False,
        splt_analysis=0,
        accounting_mode=1,  # bytes of IP packets, as ours
        idle_timeout=120,
        active_timeout=1800,
        n_meters=0,  # as many processes as it finds right for this machine
    )
    flows = packets = 0
    for flow in streamer:
        flows += 1
        packets += flow.bidirectional_packets
    print(f"{flows} flows, {packets} packets")


if __name__ == "__main__":
    main()
