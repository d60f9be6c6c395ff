"""Records as the contacts that lists are asked about."""

from __future__ import annotations

from corr_flows import T0, flow
from corr_strategies import traffic
from hypothesis import given

from common.addresses import address_text
from common.records import FlowRecord
from correlator.columns import columns_of
from correlator.detect.lists import Entry, ListKind, Lists
from correlator.ingest.listing import contacts_of, listed_alarms
from correlator.store.writer import Arrived


def test_a_channel_is_one_contact_for_every_host_the_latest_first() -> None:
    records = [flow(1), flow(2, start_s=5), flow(3, start_s=3, host="A.example"), flow(4, server_port=80)]
    found = list(contacts_of(Arrived("tap", columns_of(records))))
    assert [(contact.server_port, contact.host, contact.last_ns - T0, contact.flows) for contact in found] == [
        (443, None, 5 * 10**9, ("1", "2")),
        (443, "a.example", 3 * 10**9, ("3",)),
        (80, None, 0, ("4",)),
    ]
    assert list(contacts_of(Arrived("tap", ()))) == []


@given(traffic())
def test_no_record_is_without_its_contact(records: list[FlowRecord]) -> None:
    found = {(contact.client, contact.server, contact.server_port) for contact in contacts_of(_arrived(records))}
    assert found == {(address_text(r.client_ip), address_text(r.server_ip), r.server_port) for r in records}


def test_an_entry_about_a_service_makes_one_alarm_however_many_hosts_it_has() -> None:
    lists = Lists([Entry(ListKind.BLACK, server="192.0.2.1")])
    contacts = list(contacts_of(_arrived([flow(n, host=f"{n}.example") for n in range(5)])))
    assert len(contacts) == 5
    (alarm,) = listed_alarms(lists, contacts, lambda _: (), 1, 0)
    assert alarm.host is None


def test_lists_that_raise_nothing_ask_nothing() -> None:
    def contacts() -> None:
        raise AssertionError("nobody asked for contacts")

    lists = Lists([Entry(ListKind.WHITE, server="192.0.2.1")])
    assert not list(listed_alarms(lists, iter(contacts, None), lambda _: (), 1, 0))


def _arrived(records: list[FlowRecord]) -> Arrived:
    return Arrived("tap", columns_of(records) if records else ())
