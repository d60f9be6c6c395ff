"""The report and the index: whole at any moment, with tcpflow's names."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from assembled import Talk, began
from disks import disk
from hypothesis import given
from hypothesis import strategies as st
from packets import T0, S

from common.errors import UserError
from sensor.stream.events import CLIENT, SERVER
from sensor.streams.names import Template
from sensor.streams.recorder import Recorded, Recorder
from sensor.streams.report import Body, DfxmlReport, Index, Run, index_row

RUN = Run("tunnelwatch-sensor", "0.1.0", ("streams", "<&>"), 0, "root", T0, {"sysname": "Linux", "nodename": "tap"})


def recorded(**changes: object) -> Recorded:
    one = Recorded("a", began(7), CLIENT, T0, T0 + S, T0 + 2 * S, 11, 4, 2, 7, 0, "4c2926525f102d6eafc3dee49da6a2ea")
    return one._replace(**changes)  # type: ignore[arg-type]


def objects(path: Path) -> list[ET.Element]:
    return ET.parse(path).findall("configuration/fileobject")


def test_a_file_is_listed_with_tcpflows_elements_and_attributes(tmp_path: Path) -> None:
    report = DfxmlReport(tmp_path / "report.xml", RUN, Path("out"))
    report.add(recorded())
    report.add(recorded(direction=SERVER, gaps=0, gap_bytes=0, md5=None, flow=began(7, vlan=201)))
    report.close({"total_flows": 2})
    first, second = objects(tmp_path / "report.xml")
    assert (first.findtext("filename"), first.findtext("filesize")) == ("out/a", "11")
    assert first.findtext("hashdigest[@type='MD5']") == "4c2926525f102d6eafc3dee49da6a2ea"
    flow = first.find("tcpflow")
    assert flow is not None
    assert flow.attrib == {
        "startime": "2023-11-14T22:13:20Z", "endtime": "2023-11-14T22:13:22Z", "family": "2",
        "src_ipn": "10.1.1.9", "dst_ipn": "10.1.2.2", "srcport": "1025", "dstport": "3128",
        "gaps": "2", "missed_bytes": "7",
    }  # fmt: skip
    other = second.find("tcpflow")
    assert other is not None
    assert (other.get("src_ipn"), other.get("vlan"), other.get("gaps")) == ("10.1.2.2", "201", None)
    root = ET.parse(tmp_path / "report.xml").getroot()
    assert root.findtext("total_flows") == "2"
    assert root.findtext("creator/execution_environment/command_line") == "streams <&>"


def test_addresses_of_ipv6_are_whole_and_of_their_family(tmp_path: Path) -> None:
    report = DfxmlReport(tmp_path / "report.xml", RUN, Path())
    report.add(recorded(flow=began(client=("2001:db8::1", 1), server=("2001:db8::2", 2))))
    report.close({})
    (flow,) = ET.parse(tmp_path / "report.xml").iter("tcpflow")
    assert (flow.get("family"), flow.get("src_ipn"), flow.get("dst_ipn")) == ("10", "2001:db8::1", "2001:db8::2")


def test_bodies_are_listed_below_their_stream(tmp_path: Path) -> None:
    report = DfxmlReport(tmp_path / "report.xml", RUN, Path("o"))
    report.add(recorded(), [Body("a-HTTPBODY-001.html", 5039, None)])
    report.close({})
    (found,) = ET.parse(tmp_path / "report.xml").findall(".//byte_run/fileobject")
    assert (found.findtext("filename"), found.findtext("filesize")) == ("o/a-HTTPBODY-001.html", "5039")


def test_the_report_is_well_formed_at_any_moment(tmp_path: Path) -> None:
    # tcpflow leaves its report open when it is killed (tcpflow#90).
    path = tmp_path / "report.xml"
    report = DfxmlReport(path, RUN, Path())
    assert objects(path) == []
    seen = 0
    for number in range(1000):
        report.add(recorded())
        if number % 50 == 0:
            assert len(objects(path)) >= seen
            seen = len(objects(path))
    assert 0 < seen < 1000
    report.close({})
    assert len(objects(path)) == 1000


@given(st.text())
def test_any_name_leaves_the_report_well_formed(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("report") / "report.xml"
    report = DfxmlReport(path, RUN._replace(command=(name,)), Path())
    report.add(recorded(name=name))
    report.close({})
    assert len(objects(path)) == 1


def test_a_file_that_was_not_written_has_no_name(tmp_path: Path) -> None:
    report = DfxmlReport(tmp_path / "report.xml", RUN, Path())
    report.add(recorded(name=None))
    report.close({})
    assert objects(tmp_path / "report.xml")[0].find("filename") is None


def test_an_older_report_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.xml"
    path.write_text("x" * 100_000)
    DfxmlReport(path, RUN, Path()).close({})
    assert objects(path) == []


def test_the_index_has_a_line_for_each_file(tmp_path: Path) -> None:
    index = Index(tmp_path / "i.ndjson")
    done: list[Recorded] = []
    recorder = Recorder(None, Template(), done.append, digest=True)
    recorder.take(Talk(7).out(b"GET ", 1).lost(CLIENT, 2).out(b"/", 2).back(b"200", 3).end())
    for one in done:
        index.add(one)
    index.add(recorded(), [Body("b", 3, "x")])
    index.close()
    rows = [json.loads(line) for line in (tmp_path / "i.ndjson").read_text().splitlines()]
    assert rows[0] == {
        "name": None, "flow_id": 7, "direction": "out", "src_host": "10.1.1.9", "src_port": 1025,
        "dst_host": "10.1.2.2", "dst_port": 3128, "vlan": None, "first": "2023-11-14T22:13:21Z",
        "last": "2023-11-14T22:13:22Z", "bytes": 5, "size": 7, "gaps": 1, "missed_bytes": 2, "cut_bytes": 0,
        "packets": 0, "md5": done[0].md5,
    }  # fmt: skip
    assert rows[1]["direction"] == "in"
    assert rows[2] == {**index_row(recorded()), "bodies": [{"name": "b", "size": 3, "md5": "x"}]}


@pytest.mark.parametrize("make", [lambda *args: DfxmlReport(args[0], RUN, Path(), args[1]), Index])
def test_an_input_is_not_written_over_and_a_link_not_followed(tmp_path: Path, make: type[Index]) -> None:
    path, link = tmp_path / "a.pcap", tmp_path / "link"
    path.write_bytes(b"mine")
    link.symlink_to(path)
    found = path.stat()
    with pytest.raises(UserError, match=r"a\.pcap is an input and is not written over"):
        make(path, [(found.st_dev, found.st_ino)])
    with pytest.raises(UserError, match=r"cannot write .*link"):
        make(link, [])
    with pytest.raises(UserError, match=r"cannot write .*none/a"):
        make(tmp_path / "none/a", [])
    assert path.read_bytes() == b"mine"


def test_a_full_disk_is_one_line() -> None:
    with disk() as small:
        index = Index(small.path / "index")
        with pytest.raises(UserError, match=r"cannot write .*/index: No space left on device; make room, .*--index"):
            index.add(recorded(), [Body("b" * 250, 1, None)] * 2000)
