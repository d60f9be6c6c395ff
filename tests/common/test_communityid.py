from __future__ import annotations

import json
from pathlib import Path

import communityid
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packets import all_records
from rec_records import flow

from common.addresses import address_packed
from common.communityid import community_id
from common.records import FlowRecord
from sensor.capture.pcapfile import read_capture
from sensor.flow._table import FlowTable

ports = st.integers(0, 65535)
octets = st.integers(0, 255)
seeds = st.integers(0, 65535)
pairs = st.sampled_from((4, 16)).flatmap(lambda size: st.tuples(*[st.binary(min_size=size, max_size=size)] * 2))
# Both one-way and answered messages of both families.
icmp = st.tuples(st.sampled_from((1, 58)), octets)


def reference(tuple_: communityid.FlowTuple, seed: int = 0) -> str:
    found = communityid.CommunityID(seed=seed).calc(tuple_)
    assert isinstance(found, str)
    return found


@given(addresses=pairs, protocol=st.sampled_from((6, 17, 132)), first=ports, second=ports, seed=seeds)
def test_a_flow_with_ports_has_the_reference_s_id_from_both_sides(addresses, protocol, first, second, seed):
    client, server = addresses
    want = reference(communityid.FlowTuple(protocol, client, server, first, second), seed)
    there = flow(protocol=protocol, client_ip=client, client_port=first, server_ip=server, server_port=second)
    back = flow(protocol=protocol, client_ip=server, client_port=second, server_ip=client, server_port=first)
    assert community_id(there, seed) == community_id(back, seed) == want


@given(addresses=pairs, message=icmp, code=octets, seed=seeds)
def test_an_icmp_message_has_the_reference_s_id(addresses, message, code, seed):
    (client, server), (protocol, kind) = addresses, message
    want = reference(communityid.FlowTuple(protocol, client, server, kind, code), seed)
    sent = flow(
        protocol=protocol, client_ip=client, client_port=kind, server_ip=server, server_port=code, packets_out=1
    )
    assert community_id(sent, seed) == want


@given(addresses=pairs, message=icmp, code=octets)
def test_an_icmp_message_to_a_home_network_s_client_has_its_sender_s_id(addresses, message, code):
    (client, server), (protocol, kind) = addresses, message
    want = reference(communityid.FlowTuple(protocol, server, client, kind, code))
    got = flow(protocol=protocol, client_ip=client, client_port=code, server_ip=server, server_port=kind, packets_in=1)
    assert community_id(got) == want


@given(addresses=pairs, protocol=st.integers(0, 255).filter(lambda p: p not in (1, 6, 17, 58, 132)), port=ports)
def test_a_protocol_without_ports_has_none_in_its_id(addresses, protocol, port):
    client, server = addresses
    want = reference(communityid.FlowTuple(protocol, client, server))
    assert community_id(flow(protocol=protocol, client_ip=client, server_ip=server, client_port=port)) == want


def vector(row: dict[str, str | int], **fields: int) -> FlowRecord:
    return flow(
        protocol=int(row["proto"]), client_ip=address_packed(str(row["saddr"])), client_port=int(row.get("sport") or 0),
        server_ip=address_packed(str(row["daddr"])), server_port=int(row.get("dport") or 0), **fields,
    )  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize(("name", "seed"), [("baseline_deflt.json", 0), ("baseline_seed1.json", 1)])
def test_the_specification_s_baseline_is_met(shared_dir: Path, name: str, seed: int) -> None:
    rows = json.loads((shared_dir / "data/e_flowlogs/communityid-vectors" / name).read_text())
    assert len(rows) > 20
    for row in rows:
        assert community_id(vector(row, packets_out=1), seed) == row["communityid"], row


@pytest.mark.shared
def test_zeek_s_ids_of_2164_connections_are_ours(shared_dir: Path) -> None:
    lines = (shared_dir / "data/e_flowlogs/communityid-vectors/conn.log").read_text().splitlines()
    names = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    rows = [dict(zip(names, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]
    assert len(rows) == 2164
    for row in rows:
        record = flow(
            protocol={"tcp": 6, "udp": 17}[row["proto"]],
            client_ip=address_packed(row["id.orig_h"]), client_port=int(row["id.orig_p"]),
            server_ip=address_packed(row["id.resp_h"]), server_port=int(row["id.resp_p"]),
        )  # fmt: skip
        assert community_id(record) == row["community_id"], row


@pytest.mark.shared
def test_the_specification_s_captures_give_the_ids_of_its_baseline(shared_dir: Path) -> None:
    captures = sorted((shared_dir / "data").glob("*/community-id-spec__*.pcap"))
    assert len(captures) > 1
    for capture in captures:
        baseline = json.loads(capture.with_name(capture.name + ".communityid-baseline.json").read_text())
        known = {
            (row["proto"], row["saddr"], row["daddr"], row.get("sport"), row.get("dport")): row["communityid"]
            for row in baseline
        }
        table = FlowTable(active_timeout_ns=0)
        read_capture(str(capture), table, "", lambda: True)
        found = {community_id(record) for record in all_records(table)}
        assert found, capture
        assert found <= set(known.values()), capture
