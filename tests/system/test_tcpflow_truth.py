"""``streams`` and tcpflow write the same files for the same captures, or it is said why not.

Both run here, on every capture kept beside the project.  tcpflow takes the padding of short Ethernet frames
for data; so it also gets each capture with its frames cut where their IP packets end, and what then agrees
differed by padding alone.  Counters in names are left out of the comparison, contents are not.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dpkt
import pytest
from click.testing import CliRunner
from packets import S, pcap
from programs import AS_ROOT

from sensor.cli import main

pytestmark = pytest.mark.shared

# (name without its counter, length, MD5)
Files = Counter[tuple[str, int, str]]
# Captures whose files differ only by padding: tcpflow has null bytes, or whole files of them, that no stream has.
PADDED = {
    "arkime__imap.pcap", "arkime__long-session.pcap", "arkime__socks5-rdp.pcap",
    "chrissanders-packets__aurora.pcapng", "chrissanders-packets__tcp_retransmissions.pcapng",
    "ipfixprobe__smtp.pcap", "ndpi__nest_log_sink.pcap", "ndpi__openvpn.pcap", "ndpi__tor.pcap",
    "pcapplusplus__example.pcap", "pcapplusplus__many_interfaces-1.pcapng", "pcapplusplus__one_tcp_stream.pcap",
    "pcapplusplus__one_tcp_stream_max_seq.pcap", "pcapplusplus__unidirectional_tcp_stream_with_missing_packet.pcap",
    "suricata-verify__bug-3286-02-linux-evasion__with_evasion_linux.pcap",
    "suricata-verify__eve-metadata__testmyids.pcap", "tcpflow__test5-lines-randomized.pcap",
    "tcpflow__test5-lines.pcap", "zeek__bro.org.pcap", "zeek__connect-with-smtp.pcap", "zeek__get-to-ssh-server.pcap",
    "zeek__imap-starttls.pcap", "zeek__smtp.pcap", "zeek__ssh.pcap", "zeek__ssl-to-http-server.pcap",
    "zeek__workshop_2011_browse.pcap",
}  # fmt: skip
# What else differs: (files that only tcpflow has, files that are only here, why).
DIFFERENCES: dict[str, tuple[int, int, str]] = {
    "chrissanders-packets__mail_sender_attachment.pcapng": (
        1, 1,
        "tcpflow wrote null bytes for 76,695 bytes behind a SYN with data (its issue 272)",
    ),
    "ipfixprobe__tls.pcap": (
        0, 26,
        "the capture plays connections twice, with the same sequence numbers: tcpflow keeps one, here each is one",
    ),
    "pcapplusplus__frag_http_req.pcap": (1, 1, "fragments of IP are put together here"),
    "pcapplusplus__null_loopback.pcap": (0, 1, "tcpflow reads no IPv6 in this link type"),
    "pcapplusplus__sll2.pcap": (0, 1, "tcpflow reads no Linux cooked v2"),
    "suricata-verify__eve-overlap-payload-01__tcp-overlap.pcap": (
        1, 1,
        "two segments disagree: the last is right for tcpflow, the first here",
    ),
    "suricata-verify__eve-overlap-payload-02-policy-oldlinux__tcp-overlap.pcap": (
        1, 1,
        "two segments disagree, as above",
    ),
    "zeek__gre-sample.pcap": (0, 2, "tcpflow does not look into GRE"),
    "zeek__http-qinq-0.pcap": (
        2, 2,
        "tcpflow takes the priority bits for a part of the VLAN's number; VLAN 0 is none (IEEE 802.1Q)",
    ),
    "zeek__mixed-vlan-mpls.pcap": (0, 1, "tcpflow does not look behind MPLS on Ethernet"),
    "zeek__nflog-http.pcap": (0, 2, "tcpflow reads no NFLOG"),
    "zeek__openjdk-25.0.2-zeek.org.pcap": (0, 2, "tcpflow reads no Linux cooked v2"),
    "zeek__pppoe-over-qinq.pcap": (0, 2, "tcpflow does not look into PPPoE"),
    "zeek__reassembly.pcap": (1, 1, "two segments disagree: the last is right for tcpflow, the first here"),
    "zeek__vlan-collisions.pcap": (
        0, 4,
        "the same addresses and ports in three VLANs: one connection for tcpflow, three here",
    ),
    "zeek__vxlan-encapsulated-http.pcap": (0, 2, "tcpflow does not look into VXLAN"),
    "tcpdump__bgp-as-path-oobr.pcap": (1, 1, "two segments disagree: the last is right for tcpflow, the first here"),
    "tcpdump__bgp_pmsi_tunnel-oobr.pcap": (
        1, 0,
        "the first fragment of a datagram whose rest never comes: tcpflow takes it for a packet",
    ),
}  # fmt: skip


def written(directory: Path) -> Files:
    """What lies in a directory but for the report."""
    found: Files = Counter()
    for path in directory.iterdir():
        if path.name != "report.xml":
            data = path.read_bytes()
            found[re.sub(r"c\d+$", "", path.name), len(data), hashlib.md5(data).hexdigest()] += 1
    return found


def by_tcpflow(capture: Path, directory: Path) -> Files:
    """The files that tcpflow writes; nothing where it cannot read the capture."""
    subprocess.run(["tcpflow", "-q", "-o", str(directory), "-r", str(capture)], capture_output=True, check=False)
    return written(directory)


def by_streams(capture: Path, directory: Path) -> Files:
    """The files that ``streams`` writes."""
    CliRunner().invoke(main, ["streams", "-q", *AS_ROOT, "-r", str(capture), "-o", str(directory)])
    return written(directory)


def without_padding(capture: Path, target: Path) -> bool:
    """Write a capture of Ethernet frames again, each cut where its IP packet ends; return whether that can be done."""
    frames = []
    with capture.open("rb") as file:
        try:
            reader = dpkt.pcap.UniversalReader(file)
            if reader.datalink() != dpkt.pcap.DLT_EN10MB:
                return False
            for at, frame in reader:
                packet = dpkt.ethernet.Ethernet(frame).data
                padded = isinstance(packet, dpkt.ip.IP) and packet.len >= 20
                around = frame.find(bytes(packet)[:20]) if padded else 0
                end = around + packet.len if padded and around > 0 else len(frame)
                frames.append((round(at * S), frame[:end]))
        except (ValueError, dpkt.Error):
            return False
    target.write_bytes(pcap(frames))
    return True


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("tcpflow") is None, reason="needs tcpflow: it is not installed")
def test_tcpflow_writes_the_same_files_for_every_capture(shared_dir: Path, tmp_path: Path) -> None:
    padded, others, same = set(), {}, 0
    captures = sorted(
        path for path in shared_dir.glob("data/**/*") if path.suffix in (".pcap", ".pcapng") and path.is_file()
    )
    places = {capture: tmp_path / str(number) for number, capture in enumerate(captures)}
    for place in places.values():
        place.mkdir()
    with ThreadPoolExecutor(4) as pool:
        of_tcpflow = dict(zip(captures, pool.map(by_tcpflow, captures, places.values()), strict=True))
    for capture, place in places.items():
        theirs, ours = of_tcpflow[capture], by_streams(capture, place / "ours")
        if theirs != ours and without_padding(capture, place / "cut"):
            (place / "again").mkdir()
            theirs = by_tcpflow(place / "cut", place / "again")
            if theirs == ours:
                padded.add(capture.name)
        if theirs != ours:
            others[capture.name] = ((theirs - ours).total(), (ours - theirs).total())
        same += (theirs & ours).total()
        shutil.rmtree(place)
    assert others == {name: (more, less) for name, (more, less, _) in DIFFERENCES.items()}
    assert padded == PADDED
    assert (len(captures), same) == (251, 4169)
