"""The 21 records of Simon Castro's paper "Tracking covert channels" (2003), and their ndjson."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

# As the paper prints them. rx is what came in to the client, tx what went out; bytes are payload.
RECORDS = """\
start,end,src,sport,dst,dport,pkts_rx,pkts_tx,bytes_rx,bytes_tx,uptime
1069684217,1069684217,10.1.1.9,1118,10.1.2.2,8080,3,4,116,35,0
1069684220,1069684221,10.1.1.9,1120,10.1.2.2,8080,6,7,116,610,1
1069684223,1069684224,10.1.1.9,1122,10.1.2.2,8080,6,7,116,610,1
1069684226,1069684228,10.1.1.9,1124,10.1.2.2,8080,10,9,1084,1050,2
1069766648,1069766648,10.1.1.9,1127,10.1.2.57,80,1,5,279,109,0
1069766738,1069766738,10.1.1.9,1128,10.1.2.57,80,1,5,279,109,0
1069766894,1069766894,10.1.1.10,1130,10.1.2.57,80,1,5,279,109,0
1069766912,1069766912,10.1.1.11,1131,10.1.2.57,80,1,5,279,109,0
1069766913,1069766913,10.1.1.11,1132,10.1.2.57,80,1,5,279,109,0
1069766913,1069766913,10.1.1.11,1133,10.1.2.57,80,1,5,279,109,0
1069766913,1069766973,10.1.1.9,1025,10.1.2.2,3128,256,1024,2048,8192,60
1069766915,1069766928,10.1.1.3,1037,10.1.2.2,3128,256,1024,2048,8192,13
1069766921,1069766928,10.1.1.100,1247,10.1.2.2,3128,8,2,64,16,7
1069766921,1069766925,10.1.1.99,1448,10.1.2.2,3128,6,2,48,16,4
1069766921,1069766922,10.1.1.99,1449,10.1.2.2,3128,6,2,48,16,1
1069766925,1069766927,10.1.1.99,1450,10.1.2.2,3128,6,2,48,16,2
1069766926,1069766927,10.1.1.99,1450,10.1.2.1,3128,6,2,48,16,1
1069766928,1069766930,10.1.1.99,1451,10.1.2.1,3128,16,2,128,16,2
1069766930,1069766937,10.1.1.100,3754,10.1.2.2,443,32,8,256,64,7
1069766935,1069766937,10.1.1.5,3437,10.1.2.48,80,32,2,256,16,2
1069766937,1069766939,10.1.1.5,3437,10.1.2.48,80,32,2,256,16,2
"""
_NS = 1_000_000_000


def rows() -> Iterator[dict[str, Any]]:
    """Yield the records with the column names of ``tunnelwatch flows``."""
    names, *lines = (line.split(",") for line in RECORDS.splitlines())
    for line in lines:
        old = dict(zip(names, line, strict=True))
        yield {
            "protocol": "tcp",
            "client_ip": old["src"],
            "client_port": int(old["sport"]),
            "server_ip": old["dst"],
            "server_port": int(old["dport"]),
            "start_ns": int(old["start"]) * _NS,
            "end_ns": int(old["end"]) * _NS,
            "packets_in": int(old["pkts_rx"]),
            "packets_out": int(old["pkts_tx"]),
            "payload_bytes_in": int(old["bytes_rx"]),
            "payload_bytes_out": int(old["bytes_tx"]),
        }


def ndjson() -> str:
    """Return the records as ``tunnelwatch import`` takes them."""
    return "".join(json.dumps(row) + "\n" for row in rows())
