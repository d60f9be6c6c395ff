"""The store's schema, one migration per step; a step that was released is never edited.

Names are plain and units are in them.  Clients, services, hosts and sensors are numbered, for a flow's row names each
and there are millions of those; the numbers are this file's own and never leave it.  Everything that ingest writes lies
in time's order: a row is put where the rows of its hour are, so that a store of any size is written at the same speed.
"""

from __future__ import annotations

from typing import Any, Final

from sqlite_utils.db import Database
from sqlite_utils.migrations import Migrations

migrations: Final[Any] = Migrations("tunnelwatch")


_TABLES: Final = """
-- What the other tables were computed with: period_s and channel_gap_s.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- One row per sensor, or per name given to imported files: what arrived of it, its latest statistics, and those set
-- against the ones before.
CREATE TABLE sensors (
    sensor_id INTEGER PRIMARY KEY,
    sensor TEXT NOT NULL UNIQUE,
    first_contact_ns INTEGER NOT NULL,
    last_contact_ns INTEGER NOT NULL,
    link_contact_ns INTEGER,  -- NULL: it never spoke over the link, its records were imported
    retired_ns INTEGER,
    records_stored INTEGER NOT NULL DEFAULT 0,
    records_duplicate INTEGER NOT NULL DEFAULT 0,
    records_refused INTEGER NOT NULL DEFAULT 0,
    frames_refused INTEGER NOT NULL DEFAULT 0,
    frames_duplicate INTEGER NOT NULL DEFAULT 0,
    frames_missing INTEGER NOT NULL DEFAULT 0,
    time_ns INTEGER,
    version TEXT,
    source TEXT,
    packets INTEGER,
    accepted INTEGER,
    filtered INTEGER,
    fragments INTEGER,
    wire_bytes INTEGER,
    rejected TEXT,
    kernel_drops INTEGER,
    interface_drops INTEGER,
    flows_open INTEGER,
    flows_started INTEGER,
    flows_evicted INTEGER,
    records INTEGER,
    alarms INTEGER,
    alarms_dropped INTEGER,
    frames_unacknowledged INTEGER,
    frames_dropped INTEGER,
    spool_bytes INTEGER,
    heartbeat_s INTEGER DEFAULT 0,
    frames_lost TEXT,
    spool_lag_s INTEGER,
    unclean_stops INTEGER,
    account_run INTEGER,
    account_arrived_ns INTEGER,
    account_packets INTEGER,
    account_drops INTEGER,
    account_frames_dropped INTEGER,
    account_traffic_ns INTEGER,
    account_clock_offset_ns INTEGER
);

-- The public keys that may speak, each for one sensor.
CREATE TABLE sensor_keys (
    public_key TEXT PRIMARY KEY,
    sensor TEXT NOT NULL,
    added_ns INTEGER NOT NULL,
    revoked_ns INTEGER
) WITHOUT ROWID;

-- The highest frame of each run of a sensor that is stored. Written in the frame's own transaction.
CREATE TABLE sensor_runs (
    sensor TEXT NOT NULL,
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (sensor, run)
) WITHOUT ROWID;

CREATE TABLE clients (
    client_id INTEGER PRIMARY KEY,
    client TEXT NOT NULL UNIQUE
);

-- A service is a server's address and port. A channel is a client and a service.
CREATE TABLE services (
    service_id INTEGER PRIMARY KEY,
    server TEXT NOT NULL,
    server_port INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    UNIQUE (server, server_port, protocol)
);

-- A host is a name that clients asked for, in lower case, over one protocol. A channel by name is a client and a host.
CREATE TABLE hosts (
    host_id INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    protocol INTEGER NOT NULL,
    UNIQUE (host, protocol)
);

-- Every flow record as it came: the parts of a flow are separate rows, and counters are per part; but a part that knew
-- of no host has the one that another part of its flow knew. What is not asked for by SQL is in record_details. Its
-- numbers refer to clients, services, hosts and sensors; SQLite is not told so, for it would look each up again for
-- every row.
CREATE TABLE flow_records (
    record_id INTEGER PRIMARY KEY,
    sensor_id INTEGER NOT NULL,
    flow_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    end_reason INTEGER,
    period_start_s INTEGER NOT NULL,
    client_id INTEGER NOT NULL,
    client_port INTEGER NOT NULL,
    service_id INTEGER NOT NULL,
    flow_start_ns INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    packets_out INTEGER NOT NULL,
    packets_in INTEGER NOT NULL,
    wire_bytes_out INTEGER NOT NULL,
    wire_bytes_in INTEGER NOT NULL,
    payload_bytes_out INTEGER NOT NULL,
    payload_bytes_in INTEGER NOT NULL,
    conn_state TEXT,
    app_out TEXT,
    app_in TEXT,
    host_id INTEGER
);
-- A record that comes again is told by it; it begins with the time, where new rows are near each other.
CREATE UNIQUE INDEX flow_records_start ON flow_records (start_ns, flow_id, part, sensor_id);
CREATE INDEX flow_records_channel ON flow_records (period_start_s, client_id, service_id);
-- The parts of flows that have, or will have, several.
CREATE INDEX flow_records_parts ON flow_records (sensor_id, flow_id) WHERE part > 0 OR end_reason IS NULL;

-- The flows of which no record is known that ends them.
CREATE TABLE open_flows (
    sensor_id INTEGER NOT NULL,
    flow_id INTEGER NOT NULL,
    PRIMARY KEY (sensor_id, flow_id)
) WITHOUT ROWID;

-- The other fields of the records from record_id first_record on, in blocks: a msgpack array of columns, compressed
-- with Zstandard (RFC 8878). Which columns, and in which order, is in detail_fields.
CREATE TABLE record_details (
    first_record INTEGER PRIMARY KEY,
    records INTEGER NOT NULL,
    fields INTEGER NOT NULL REFERENCES detail_fields (fields),
    columns BLOB NOT NULL
);
CREATE TABLE detail_fields (
    fields INTEGER PRIMARY KEY,
    names TEXT NOT NULL UNIQUE
);
"""

# Sums stop before SQLite's 63 bits; see rollup.
_FIGURES: Final = """
    connections INTEGER NOT NULL,
    packets_out INTEGER NOT NULL,
    packets_in INTEGER NOT NULL,
    wire_bytes_out INTEGER NOT NULL,
    wire_bytes_in INTEGER NOT NULL,
    payload_bytes_out INTEGER NOT NULL,
    payload_bytes_in INTEGER NOT NULL,
    tcp_uptime_ns INTEGER NOT NULL,
    channel_uptime_ns INTEGER NOT NULL,
    first_ns INTEGER,
    last_ns INTEGER,
    last_start_ns INTEGER"""

# Roll-ups, kept at ingest. A record belongs to the period of its start; first_ns is NULL where no record does, but a
# channel stood up. Distinct things are counted where a query would have to go through all of them.
_ROLLUPS: Final = f"""
-- spans are the times inside the period during which the channel stood up, as JSON: start, end, start, end, ... in ns
-- from the period's start; NULL when that is one time, from first_ns to last_ns or the period's end.
CREATE TABLE channel_periods (
    period_start_s INTEGER NOT NULL, client_id INTEGER NOT NULL, service_id INTEGER NOT NULL, spans TEXT, {_FIGURES},
    PRIMARY KEY (period_start_s, client_id, service_id)
) WITHOUT ROWID;
CREATE INDEX channel_periods_service ON channel_periods (period_start_s, service_id);

CREATE TABLE client_periods (
    period_start_s INTEGER NOT NULL, client_id INTEGER NOT NULL, protocol INTEGER NOT NULL,
    services INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (period_start_s, client_id, protocol)
) WITHOUT ROWID;

CREATE TABLE service_periods (
    period_start_s INTEGER NOT NULL, service_id INTEGER NOT NULL, clients INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (period_start_s, service_id)
) WITHOUT ROWID;

CREATE TABLE periods (
    period_start_s INTEGER NOT NULL, protocol INTEGER NOT NULL,
    clients INTEGER NOT NULL, services INTEGER NOT NULL, channels INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (period_start_s, protocol)
) WITHOUT ROWID;

CREATE TABLE channel_totals (
    client_id INTEGER NOT NULL, service_id INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (client_id, service_id)
) WITHOUT ROWID;
CREATE INDEX channel_totals_service ON channel_totals (service_id);

CREATE TABLE client_totals (
    client_id INTEGER NOT NULL, protocol INTEGER NOT NULL, services INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (client_id, protocol)
) WITHOUT ROWID;

CREATE TABLE service_totals (
    service_id INTEGER PRIMARY KEY, clients INTEGER NOT NULL, {_FIGURES}
);
"""

# The same for channels by name. Flows without a host are in none of these.
_HOST_ROLLUPS: Final = f"""
-- service_id is one that the host was reached on, and host_period_services has the others, which there seldom are.
CREATE TABLE host_channel_periods (
    period_start_s INTEGER NOT NULL, client_id INTEGER NOT NULL, host_id INTEGER NOT NULL, spans TEXT,
    service_id INTEGER, {_FIGURES},
    PRIMARY KEY (period_start_s, client_id, host_id)
) WITHOUT ROWID;

CREATE TABLE host_period_services (
    period_start_s INTEGER NOT NULL, client_id INTEGER NOT NULL, host_id INTEGER NOT NULL, service_id INTEGER NOT NULL,
    PRIMARY KEY (period_start_s, client_id, host_id, service_id)
) WITHOUT ROWID;

CREATE TABLE host_channel_totals (
    client_id INTEGER NOT NULL, host_id INTEGER NOT NULL, {_FIGURES},
    PRIMARY KEY (client_id, host_id)
) WITHOUT ROWID;

CREATE TABLE host_totals (
    host_id INTEGER PRIMARY KEY, clients INTEGER NOT NULL, {_FIGURES}
);

-- Every service that a client reached a host on, whenever that was.
CREATE TABLE host_services (
    host_id INTEGER NOT NULL, client_id INTEGER NOT NULL, service_id INTEGER NOT NULL,
    PRIMARY KEY (host_id, client_id, service_id)
) WITHOUT ROWID;
"""

_ALARMS: Final = """
-- Its id is a hash of kind, rule, subject and period: a repeat updates the row. evidence and flows are JSON.
CREATE TABLE alarms (
    alarm_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    rule TEXT NOT NULL,
    severity TEXT NOT NULL,
    first_time_ns INTEGER NOT NULL,
    time_ns INTEGER NOT NULL,
    seen_count INTEGER NOT NULL,
    sensor TEXT,
    client TEXT,
    server TEXT,
    host TEXT,
    probability REAL,
    message TEXT NOT NULL,
    evidence TEXT NOT NULL,
    flows TEXT NOT NULL,
    acknowledged_ns INTEGER
) WITHOUT ROWID;
CREATE INDEX alarms_time ON alarms (time_ns);
"""

# What detection remembers; state is msgpack. A channel's peer is a name where there is one, else the server's address.
_DETECTION: Final = """
CREATE TABLE detect_channels (
    client TEXT NOT NULL,
    peer TEXT NOT NULL,
    port INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    log10_odds REAL NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (client, peer, port, protocol)
) WITHOUT ROWID;
CREATE INDEX detect_channels_last ON detect_channels (last_ns);

-- The flows that no record has ended.
CREATE TABLE detect_flows (
    sensor TEXT NOT NULL,
    flow_id INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (sensor, flow_id)
) WITHOUT ROWID;
CREATE INDEX detect_flows_last ON detect_flows (last_ns);
"""

# What is usual for each client; state is msgpack.
_HABITS: Final = """
CREATE TABLE detect_clients (
    client TEXT NOT NULL PRIMARY KEY,
    last_ns INTEGER NOT NULL,
    state BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX detect_clients_last ON detect_clients (last_ns);
"""

_LISTS: Final = """
-- White, red and black lists. What is NULL is not asked for; first_port and last_port are a range of the server's.
CREATE TABLE lists (
    entry_id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    client TEXT,
    server TEXT,
    first_port INTEGER,
    last_port INTEGER,
    host TEXT,
    everything INTEGER NOT NULL DEFAULT 0,
    over_percent REAL,
    bytes INTEGER,
    packets INTEGER,
    tcp_uptime_s INTEGER,
    severity TEXT,
    expires_ns INTEGER,
    comment TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL DEFAULT '',
    added_ns INTEGER NOT NULL
);
CREATE UNIQUE INDEX lists_entry ON lists (
    kind, coalesce(client, ''), coalesce(server, ''), coalesce(first_port, -1), coalesce(last_port, -1),
    coalesce(host, '')
);
"""

# What was learned. level is 0 for clients, 1 services, 2 channels (client and service), 3 channels by name (client and
# host); thing_id is a service's or a host's, 0 where there is none. A slot is a period's place in the day, those of
# weekends after those of weekdays. cell is msgpack: what was done in the latest periods of the slot.
_LEARNING: Final = """
CREATE TABLE profile_cells (
    level INTEGER NOT NULL,
    client_id INTEGER NOT NULL,
    thing_id INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    last_s INTEGER NOT NULL,
    cell BLOB NOT NULL,
    PRIMARY KEY (level, client_id, thing_id, protocol, slot)
) WITHOUT ROWID;

-- The periods that were learned from, and what was in them at that time.
CREATE TABLE learned_periods (
    period_start_s INTEGER PRIMARY KEY,
    connections INTEGER NOT NULL,
    packets INTEGER NOT NULL
);

-- How high the scores of ordinary traffic are: of each hour or day the number of tests and the highest scores, as JSON.
CREATE TABLE calibration_scores (
    scores_of TEXT NOT NULL,
    start_s INTEGER NOT NULL,
    tests INTEGER NOT NULL,
    highest TEXT NOT NULL,
    PRIMARY KEY (scores_of, start_s)
) WITHOUT ROWID;

-- The channels of days that are not over: the highest odds, and the symptoms that were tested for and found, as JSON.
CREATE TABLE channel_days (
    day_s INTEGER NOT NULL,
    client TEXT NOT NULL,
    peer TEXT NOT NULL,
    port INTEGER NOT NULL,
    protocol INTEGER NOT NULL,
    log10_odds REAL NOT NULL,
    alarmed INTEGER NOT NULL,
    tested TEXT NOT NULL,
    found TEXT NOT NULL,
    PRIMARY KEY (day_s, client, peer, port, protocol)
) WITHOUT ROWID;

-- In how many channels of a day a symptom was tested for and found; those that alarmed are left out.
CREATE TABLE symptom_days (
    day_s INTEGER NOT NULL,
    symptom TEXT NOT NULL,
    tested INTEGER NOT NULL,
    found INTEGER NOT NULL,
    PRIMARY KEY (day_s, symptom)
) WITHOUT ROWID;
"""

# For people with sqlite-utils or Datasette. With exactly one MAX(), SQLite takes the bare columns from
# that row, so state, reason and host are those of the flow's last part.
_FLOWS_VIEW: Final = """
CREATE VIEW flows AS
SELECT n.sensor, r.flow_id, s.protocol, c.client, r.client_port, s.server, s.server_port,
       strftime('%Y-%m-%dT%H:%M:%SZ', r.flow_start_ns / 1000000000, 'unixepoch') AS started,
       r.flow_start_ns,
       r.end_ns,
       (r.end_ns - r.flow_start_ns) / 1e9 AS duration_s,
       r.end_reason,
       r.conn_state,
       MAX(r.part) + 1 AS parts,
       SUM(r.packets_out) AS packets_out,
       SUM(r.packets_in) AS packets_in,
       SUM(r.wire_bytes_out) AS wire_bytes_out,
       SUM(r.wire_bytes_in) AS wire_bytes_in,
       SUM(r.payload_bytes_out) AS payload_bytes_out,
       SUM(r.payload_bytes_in) AS payload_bytes_in,
       r.app_out,
       r.app_in,
       h.host
FROM flow_records AS r
JOIN clients AS c ON c.client_id = r.client_id
JOIN services AS s ON s.service_id = r.service_id
JOIN sensors AS n ON n.sensor_id = r.sensor_id
LEFT JOIN hosts AS h ON h.host_id = r.host_id
GROUP BY r.sensor_id, r.flow_id;
"""

_EXCHANGES: Final = """
ALTER TABLE sensors ADD COLUMN exchanges INTEGER DEFAULT 0;
ALTER TABLE sensors ADD COLUMN exchanges_dropped INTEGER DEFAULT 0;
-- Every HTTP exchange as its sensor sent it; its flow has the same sensor_id and flow_id. header_names and anomalies
-- are JSON. What a record does not say is NULL.
CREATE TABLE http_exchanges (
    exchange_id INTEGER PRIMARY KEY,
    sensor_id INTEGER NOT NULL,
    flow_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    client_id INTEGER NOT NULL,
    client_port INTEGER NOT NULL,
    service_id INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    request_end_ns INTEGER,
    response_start_ns INTEGER,
    end_ns INTEGER NOT NULL,
    method TEXT,
    host_id INTEGER,
    host_port INTEGER,
    uri_bytes INTEGER,
    uri TEXT,
    version TEXT,
    header_names TEXT,
    user_agent TEXT,
    referer_host TEXT,
    upgrade TEXT,
    request_header_bytes INTEGER NOT NULL,
    request_body_bytes INTEGER NOT NULL,
    status INTEGER,
    response_version TEXT,
    response_header_bytes INTEGER NOT NULL,
    response_body_bytes INTEGER NOT NULL,
    content_type TEXT,
    anomalies TEXT
);
-- An exchange that comes again is told by it; it begins with the time, where new rows are near each other.
CREATE UNIQUE INDEX http_exchanges_start ON http_exchanges (start_ns, flow_id, number, sensor_id);

-- For people with sqlite-utils or Datasette.
CREATE VIEW exchanges AS
SELECT n.sensor, e.flow_id, e.number, c.client, e.client_port, s.server, s.server_port,
       strftime('%Y-%m-%dT%H:%M:%SZ', e.start_ns / 1000000000, 'unixepoch') AS started,
       e.start_ns,
       e.end_ns,
       (e.end_ns - e.start_ns) / 1e9 AS duration_s,
       e.method,
       h.host,
       e.host_port,
       e.uri_bytes,
       e.uri,
       e.version,
       e.user_agent,
       e.request_body_bytes,
       e.status,
       e.response_body_bytes,
       e.content_type,
       e.anomalies
FROM http_exchanges AS e
JOIN clients AS c ON c.client_id = e.client_id
JOIN services AS s ON s.service_id = e.service_id
JOIN sensors AS n ON n.sensor_id = e.sensor_id
LEFT JOIN hosts AS h ON h.host_id = e.host_id;
"""


@migrations()  # type: ignore[untyped-decorator] # the library's decorator is
def tables(db: Database) -> None:
    """Create the tables of the first release."""
    _execute(db, f"{_TABLES}{_ROLLUPS}{_HOST_ROLLUPS}{_ALARMS}{_FLOWS_VIEW}")


@migrations()  # type: ignore[untyped-decorator] # as above
def detection(db: Database) -> None:
    """Create what detection remembers in."""
    _execute(db, _DETECTION)


@migrations()  # type: ignore[untyped-decorator] # as above
def http_exchanges(db: Database) -> None:
    """Create the table of HTTP exchanges, and the sensors' counters of them."""
    _execute(db, _EXCHANGES)


@migrations()  # type: ignore[untyped-decorator] # as above
def habits(db: Database) -> None:
    """Create what detection remembers of clients in."""
    _execute(db, _HABITS)


@migrations()  # type: ignore[untyped-decorator] # as above
def lists(db: Database) -> None:
    """Create the table of white, red and black lists."""
    _execute(db, _LISTS)


@migrations()  # type: ignore[untyped-decorator] # as above
def learning(db: Database) -> None:
    """Create what is learned of the site's own traffic."""
    _execute(db, _LEARNING)


def _execute(db: Database, script: str) -> None:
    for statement in script.split(";\n"):
        if statement.strip():
            db.conn.execute(statement)
