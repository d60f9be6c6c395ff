"""Addresses, networks, ports and names on the command line: one spelling, or one line."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import pytest
from corr_cli import Cli
from corr_flows import batch, flow, flow_log
from hypothesis import example, given
from hypothesis import strategies as st

from correlator.cli.who import address, endpoint, holds, host_name, ports
from correlator.rows import Selection


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.1.1.9", "10.1.1.9"),
        ("10.1.0.0/16", "10.1.0.0/16"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.1.1.9/32", "10.1.1.9"),
        ("FD00::/8", "fd00::/8"),
        ("2001:db8:0:0::/64", "2001:db8::/64"),
        ("::1/128", "::1"),
    ],
)
def test_a_client_is_an_address_or_a_network(text: str, meant: str) -> None:
    assert address(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.1.2.2:3128", ("10.1.2.2", 3128)),
        ("10.1.0.0/16", ("10.1.0.0/16", None)),
        ("10.1.0.0/16:443", ("10.1.0.0/16", 443)),
        ("fd00::/8", ("fd00::/8", None)),
        ("[fd00::/8]", ("fd00::/8", None)),
        ("[fd00::/8]:443", ("fd00::/8", 443)),
    ],
)
def test_a_server_is_an_address_or_a_network_with_a_port_or_without(text: str, meant: tuple[str, int | None]) -> None:
    assert endpoint(text) == meant


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("10.1.1.9/16", "'10.1.1.9/16' has an address inside of it; write 10.1.0.0/16"),
        ("10.1.0.0/33", "from 0 to 32"),
        ("fd00::/129", "from 0 to 128"),
        ("10.1.0.0/", "from 0 to 32"),
        ("10.1.0.0/255.255.0.0", "from 0 to 32"),
        ("banana/8", "not an IP address: 'banana'"),
        ("10.1.0.0/16:443:1", "not a network or network:port"),
        ("10.1.0.0/16:", "not a port number"),
        ("10.1.0.0/16:99999", "not a port number"),
        ("[fd00::/8", "not a network or network:port"),
        ("[fd00::/8]443", "not a network or network:port"),
    ],
)
def test_a_network_that_is_none_is_refused_in_one_line(text: str, fact: str) -> None:
    with pytest.raises(ValueError) as caught:
        endpoint(text)
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_client_has_no_port() -> None:
    with pytest.raises(ValueError, match="without a port"):
        address("10.1.0.0/16:443")


def test_ports_are_one_or_a_range() -> None:
    assert ports("443") == (443, 443)
    assert ports(" 8000-8999") == (8000, 8999)


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "2-1", "65536", "http", "1-2-3", "\u0661"])
def test_ports_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write 443 or 8000-8999"):
        ports(text)


def test_a_host_name_has_one_spelling() -> None:
    assert host_name("WWW.Example.com.") == "www.example.com"
    assert host_name("*.example.com") == "*.example.com"


@pytest.mark.parametrize("text", ["", "*", "*.", "www.*.com", "a b", "a\nb", "x" * 254])
def test_host_names_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        host_name(text)


@given(st.text(alphabet="0123456789abcdef.:/[]-*x ", max_size=40))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for read in (address, endpoint, ports, host_name):
        try:
            read(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - what is tested is that nothing else comes out


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses())
@example(IPv6Address("::ffff:0:0"), 96, IPv4Address("0.0.0.0"))
def test_a_network_holds_what_the_standard_library_says(base: object, length: int, other: object) -> None:
    network = ip_network(f"{base}/{min(length, ip_address(str(base)).max_prefixlen)}", strict=False)
    chosen = Selection(client=address(str(network)))
    assert holds(chosen, str(other), None, None) == (ip_address(str(other)) in network)


def test_a_selection_holds_what_meets_all_that_it_asks_for() -> None:
    chosen = Selection(client="10.0.0.0/8", server="192.0.2.0/24", server_ports=(400, 500), host="*.example.com")
    assert holds(chosen, "10.9.9.9", "192.0.2.7:443", "WWW.example.com")
    assert not holds(chosen, "11.9.9.9", "192.0.2.7:443", "www.example.com")
    assert not holds(chosen, "10.9.9.9", "192.0.2.7:80", "www.example.com")
    assert not holds(chosen, "10.9.9.9", "192.0.3.7:443", "www.example.com")
    assert not holds(chosen, "10.9.9.9", "192.0.2.7:443", "example.com")
    assert not holds(chosen, None, None, None)
    assert holds(Selection(server_port=53), None, "[fd00::1]:53", None)
    assert holds(Selection(), None, None, None)


@pytest.mark.parametrize(
    ("arguments", "connections"),
    [
        (("--client", "10.1.1.8/29"), 11),
        (("--client", "10.1.1.64/26"), 7),
        (("--client", "10.1.1.0/24"), 21),
        (("--client", "10.0.0.0/12"), 21),
        (("--client", "10.2.0.0/16"), 0),
        (("--client", "0.0.0.0/0"), 21),
        (("--server", "10.1.2.0/26"), 21),
        (("--server", "10.1.2.0/24:80"), 8),
        (("--port", "443"), 1),
        (("--port", "3000-9000"), 12),
        (("--server", "10.1.2.2", "--port", "1-3127"), 1),
        (("--client", "10.1.1.9", "--server", "10.1.2.0/24", "--port", "80"), 2),
    ],
)
def test_views_take_networks_and_ports(castro: Cli, arguments: tuple[str, ...], connections: int) -> None:
    assert castro.json("summary", *arguments)["connections"] == connections


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (("clients", "--client", "10.1.1.9/16"), "write 10.1.0.0/16"),
        (("clients", "--port", "0x50"), "write 443 or 8000-8999"),
        (
            ("clients", "--server", "10.0.0.1:80", "--port", "80"),
            "a port in --server, and --port",
        ),
        (("clients", "10.0.0.1", "--client", "10.0.0.2"), "a client as argument, and --client"),
        (("servers", "10.0.0.1", "--server", "10.0.0.2"), "a server as argument, and --server"),
        (("servers", "10.0.0.1:80", "--port", "80"), "a port with the server, and --port"),
        (("servers", "10.0.0.1:80", "--port", "80-90"), "a port with the server, and --port"),
        (("clients", "--host", "*"), "not a host name"),
        (("alarms", "--host", "a b"), "not a host name"),
    ],
)
def test_a_wrong_filter_is_a_usage_error(cli: Cli, arguments: tuple[str, ...], fact: str) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert fact in result.err


def test_alarms_take_networks_ports_and_names(cli: Cli, tmp_path: object) -> None:
    path = f"{tmp_path}/big.flowlog"
    big = flow(1, payload_bytes_out=200_000_000, host="tunnel.example.com")
    with open(path, "wb") as file:
        file.write(flow_log([batch([big], 1)]))
    cli.imported(path)
    everything = len(cli.json("alarms"))
    assert everything > 0
    for arguments in (("--client", "10.0.0.0/8"), ("--server", "192.0.2.0/24"), ("--port", "400-500")):
        assert len(cli.json("alarms", *arguments)) == everything
    for arguments in (("--client", "10.0.1.0/24"), ("--server", "192.0.3.0/24"), ("--port", "80")):
        assert cli.json("alarms", *arguments) == []


def test_a_server_without_a_port_keeps_the_port_asked_for(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "ports.flowlog"
    path.write_bytes(flow_log([batch([flow(1, server_port=80), flow(2, server_port=443)], 1)]))
    cli.imported(path)
    for port in ("80", "80-90"):
        found = cli.json("servers", "192.0.2.1", "--port", port, "--depth", "1")
        assert [row["server"] for row in found] == ["192.0.2.1:80"]


def test_every_view_takes_a_host_name(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "hosts.flowlog"
    path.write_bytes(flow_log([batch([flow(1, host="a.example"), flow(2, host="b.example")], 1)]))
    cli.imported(path)
    assert cli.json("summary", "--host", "a.example")["connections"] == 1
    for view in (
        *("clients", "servers", "periods", "slots", "flows"),
        *("clients --depth 3", "servers --depth 3", "periods --depth 3", "flows --parts", "flows --sort host"),
        *(
            "top clients",
            "top servers",
            "top channels",
            "top hosts",
            "top hosts --per client",
            "top clients --per host",
        ),
    ):
        assert len(cli.json(*view.split(), "--host", "a.example")) == 1, view
    assert sum(point["value"] for point in cli.json("evolution", "--host", "a.example")) == 1


def test_a_flow_over_ipv6_has_its_port_outside_of_the_address(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "six.flowlog"
    path.write_bytes(flow_log([batch([flow(1, client_ip="fd00::1", server_ip="fd00::2")], 1)]))
    cli.imported(path)
    assert "[fd00::1]:40000 -> [fd00::2]:443" in cli("clients", "--depth", "3").out
