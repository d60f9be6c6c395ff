"""The sensor's threshold alarms as lines for a person, in the spirit of tcpstatflow's."""

from __future__ import annotations

from common.addresses import address_text, endpoint_text
from common.records import SensorAlarm
from common.textrecords import protocol_name
from common.timespan import NS_PER_S, seconds


def alarm_line(alarm: SensorAlarm) -> str:
    """Return ``potential tunnel = a:p->b:p: packets rx=.. tx=.., bytes rx=.. tx=.., seconds=..`` and the limit.

    As in tcpstatflow, tx is what the client sent.
    """
    unit = " s" if alarm.rule == "duration" else ""
    limit = seconds(alarm.limit) if alarm.rule == "duration" else alarm.limit
    return (
        f"potential tunnel = {pair_text(alarm)}: "
        f"packets rx={alarm.packets_in} tx={alarm.packets_out}, "
        f"bytes rx={alarm.payload_bytes_in} tx={alarm.payload_bytes_out}, "
        f"seconds={alarm.duration_ns // NS_PER_S} ({alarm.rule} over {limit}{unit})"
    )


def pair_text(alarm: SensorAlarm) -> str:
    """Return ``10.1.1.46:1044->10.1.1.1:3128``, the protocol before it unless it is TCP."""
    client = endpoint_text(address_text(alarm.client_ip), alarm.client_port)
    server = endpoint_text(address_text(alarm.server_ip), alarm.server_port)
    prefix = "" if alarm.protocol == 6 else protocol_name(alarm.protocol) + " "
    return f"{prefix}{client}->{server}"
