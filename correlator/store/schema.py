"""The store's schema, one migration per step; a step that was released is never edited.

Names are plain and units are in them.  Ids are hashes of content, not row numbers, so that two files
can be put together and another engine can hold the same rows.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from sqlite_utils.db import Database
from sqlite_utils.migrations import Migrations

migrations: Final[Any] = Migrations("tunnelwatch")


def known_steps() -> frozenset[str]:
    """Return the names of the steps that this program knows."""
    with closing(Database(memory=True)) as empty:
        return frozenset(step.name for step in migrations.pending(empty))


_TABLES: Final = """
-- What the other tables were computed with: period_s and channel_gap_s.
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- One row per sensor, or per name given to imported files. The last columns are its latest statistics.
CREATE TABLE sensors (
    sensor TEXT PRIMARY KEY,
    first_contact_ns INTEGER NOT NULL,
    last_contact_ns INTEGER NOT NULL,
    version TEXT,
    source TEXT,
    records_stored INTEGER NOT NULL DEFAULT 0,
    records_duplicate INTEGER NOT NULL DEFAULT 0,
    records_refused INTEGER NOT NULL DEFAULT 0,
    frames_refused INTEGER NOT NULL DEFAULT 0,
    frames_missing INTEGER NOT NULL DEFAULT 0,
    time_ns INTEGER,
    packets INTEGER,
    accepted INTEGER,
    filtered INTEGER,
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
    spool_bytes INTEGER
) WITHOUT ROWID;

-- The highest frame of each run of a sensor that is stored. Written in the frame's own transaction.
CREATE TABLE sensor_runs (
    sensor TEXT NOT NULL,
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (sensor, run)
) WITHOUT ROWID;

-- A channel is a client and a service; its id is a hash of protocol, client, server and port.
CREATE TABLE channels (
    channel_id INTEGER PRIMARY KEY,
    protocol INTEGER NOT NULL,
    client TEXT NOT NULL,
    server TEXT NOT NULL,
    server_port INTEGER NOT NULL
);
CREATE INDEX channels_client ON channels (client);
CREATE INDEX channels_server ON channels (server, server_port);

-- Every flow record as it came: the parts of a flow are separate rows, and counters are per part.
-- It keeps SQLite's rowid on purpose: flow ids arrive in no order, and wide rows placed by them halve
-- the speed of ingest.
CREATE TABLE flow_records (
    sensor TEXT NOT NULL,
    channel_id INTEGER NOT NULL REFERENCES channels (channel_id),
    flow_id INTEGER NOT NULL,
    part INTEGER NOT NULL,
    end_reason INTEGER,
    vlan INTEGER,
    client_port INTEGER NOT NULL,
    oriented_by INTEGER NOT NULL,
    flow_start_ns INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    packets_out INTEGER NOT NULL,
    packets_in INTEGER NOT NULL,
    wire_bytes_out INTEGER NOT NULL,
    wire_bytes_in INTEGER NOT NULL,
    payload_bytes_out INTEGER NOT NULL,
    payload_bytes_in INTEGER NOT NULL,
    retransmitted_bytes_out INTEGER NOT NULL,
    retransmitted_bytes_in INTEGER NOT NULL,
    missed_bytes_out INTEGER NOT NULL,
    missed_bytes_in INTEGER NOT NULL,
    tcp_flags_out INTEGER NOT NULL,
    tcp_flags_in INTEGER NOT NULL,
    conn_state TEXT,
    history TEXT,
    handshake_rtt_ns INTEGER,
    data_packets_out INTEGER,
    data_packets_in INTEGER,
    payload_sizes_out TEXT,
    payload_sizes_in TEXT,
    gaps_out TEXT,
    gaps_in TEXT,
    max_idle_ns INTEGER,
    keystroke_packets INTEGER,
    keystroke_pairs INTEGER,
    keystroke_typed_pairs INTEGER,
    echoes INTEGER,
    exchanges INTEGER,
    exchange_gaps INTEGER,
    exchange_gap_mean_s REAL,
    exchange_gap_m2_s2 REAL,
    exchange_gap_min_ns INTEGER,
    exchange_gap_max_ns INTEGER,
    splt TEXT,
    app_out TEXT,
    app_in TEXT,
    first_popcount REAL,
    first_printable REAL,
    first_printable_run INTEGER,
    first_entropy REAL,
    host TEXT,
    facts TEXT,
    anomalies TEXT,
    PRIMARY KEY (sensor, flow_id, part)
);
CREATE INDEX flow_records_start ON flow_records (start_ns);
CREATE INDEX flow_records_channel ON flow_records (channel_id, start_ns);
-- Records of flows that were open when they came: what is asked for flows that are open still.
CREATE INDEX flow_records_open ON flow_records (sensor, flow_id) WHERE end_reason IS NULL;

-- Roll-up kept at ingest: one row per period and channel. A record belongs to the period of its start.
CREATE TABLE channel_periods (
    period_start_ns INTEGER NOT NULL,
    channel_id INTEGER NOT NULL REFERENCES channels (channel_id),
    connections INTEGER NOT NULL,
    packets_out INTEGER NOT NULL,
    packets_in INTEGER NOT NULL,
    wire_bytes_out INTEGER NOT NULL,
    wire_bytes_in INTEGER NOT NULL,
    payload_bytes_out INTEGER NOT NULL,
    payload_bytes_in INTEGER NOT NULL,
    tcp_uptime_ns INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    last_start_ns INTEGER NOT NULL,
    PRIMARY KEY (period_start_ns, channel_id)
) WITHOUT ROWID;
CREATE INDEX channel_periods_channel ON channel_periods (channel_id);

-- Times during which a channel stood up: records that follow each other within channel_gap_s are one row.
CREATE TABLE channel_sessions (
    channel_id INTEGER NOT NULL REFERENCES channels (channel_id),
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    PRIMARY KEY (channel_id, start_ns)
) WITHOUT ROWID;

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

# For people with sqlite-utils or Datasette. With exactly one MAX(), SQLite takes the bare columns from
# that row, so state, reason and host are those of the flow's last part.
_FLOWS_VIEW: Final = """
CREATE VIEW flows AS
SELECT r.sensor, r.flow_id, c.protocol, c.client, r.client_port, c.server, c.server_port,
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
       r.host
FROM flow_records AS r JOIN channels AS c ON c.channel_id = r.channel_id
GROUP BY r.sensor, r.flow_id;
"""

# The record's details when they became one column.
_DETAILS: Final = (
    "data_packets_out", "data_packets_in", "payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in",
    "max_idle_ns", "keystroke_packets", "keystroke_pairs", "keystroke_typed_pairs", "echoes", "exchanges",
    "exchange_gaps", "exchange_gap_mean_s", "exchange_gap_m2_s2", "exchange_gap_min_ns", "exchange_gap_max_ns",
    "splt", "first_popcount", "first_printable", "first_printable_run", "first_entropy", "facts", "anomalies",
)  # fmt: skip
_WRITTEN_AS_JSON: Final = ("payload_sizes_out", "payload_sizes_in", "gaps_out", "gaps_in", "splt", "facts", "anomalies")


@migrations()  # type: ignore[untyped-decorator] # the library's decorator is
def initial_schema(db: Database) -> None:
    """Create the tables of the first release."""
    for statement in f"{_TABLES}{_FLOWS_VIEW}".split(";\n"):
        if statement.strip():
            db.conn.execute(statement)


@migrations()  # type: ignore[untyped-decorator] # as above
def closed_time(db: Database) -> None:
    """Keep when both sides of a flow had closed."""
    db.conn.execute("ALTER TABLE flow_records ADD COLUMN closed_ns INTEGER")


@migrations()  # type: ignore[untyped-decorator] # as above
def count_fragments(db: Database) -> None:
    """Give the sensors' statistics their count of IP fragments."""
    db.conn.execute("ALTER TABLE sensors ADD COLUMN fragments INTEGER DEFAULT 0")


@migrations()  # type: ignore[untyped-decorator] # as above
def details_in_one_column(db: Database) -> None:
    """Keep shape, interaction and content as one JSON array; the view ``records`` gives its fields their names."""
    execute = db.conn.execute
    before = execute("SELECT name, type, \"notnull\" FROM pragma_table_info('flow_records') ORDER BY cid").fetchall()
    kept = [(name, f"{name} {kind}{' NOT NULL' * needed}") for name, kind, needed in before if name not in _DETAILS]
    details = [(name, kind) for name, kind, _ in before if name in _DETAILS]
    names = ", ".join(name for name, _ in kept)
    columns = ", ".join(column for _, column in kept)
    values = ", ".join(
        f"json({name})" if name in _WRITTEN_AS_JSON else f"min({name}, 1e300)" if kind == "REAL" else name
        for name, kind in sorted(details, key=lambda column: _DETAILS.index(column[0]))
    )
    known = " OR ".join(f"{name} IS NOT NULL" for name in _DETAILS)
    named = ", ".join(f"json_extract(r.details, '$[{place}]') AS {name}" for place, name in enumerate(_DETAILS))
    own = ", ".join(f"r.{name}" for name, _ in kept if name != "channel_id")
    execute("DROP VIEW flows")
    execute("ALTER TABLE flow_records RENAME TO flow_records_before")
    execute(
        f"""CREATE TABLE flow_records ({columns}, details TEXT,
            PRIMARY KEY (sensor, flow_id, part), FOREIGN KEY (channel_id) REFERENCES channels (channel_id))"""
    )
    execute(
        f"""INSERT INTO flow_records ({names}, details)
            SELECT {names}, iif({known}, json_array({values}), NULL) FROM flow_records_before"""  # noqa: S608 - constant names
    )
    execute("DROP TABLE flow_records_before")
    execute("CREATE INDEX flow_records_start ON flow_records (start_ns)")
    execute("CREATE INDEX flow_records_channel ON flow_records (channel_id, start_ns)")
    execute("CREATE INDEX flow_records_open ON flow_records (sensor, flow_id) WHERE end_reason IS NULL")
    execute(_FLOWS_VIEW)
    execute(
        f"""CREATE VIEW records AS SELECT c.protocol, c.client, c.server, c.server_port, {own}, {named}
            FROM flow_records AS r JOIN channels AS c ON c.channel_id = r.channel_id"""  # noqa: S608 - constant names
    )


@migrations()  # type: ignore[untyped-decorator] # as above
def count_duplicate_frames(db: Database) -> None:
    """Count the frames that came again after they were done with."""
    db.conn.execute("ALTER TABLE sensors ADD COLUMN frames_duplicate INTEGER NOT NULL DEFAULT 0")


@migrations()  # type: ignore[untyped-decorator] # as above
def watch_sensors(db: Database) -> None:
    """Keep when a sensor spoke over the link, and its latest statistics set against those before."""
    for column in (
        "heartbeat_s INTEGER DEFAULT 0",
        "link_contact_ns INTEGER",  # NULL: it never spoke over the link, its records were imported
        "retired_ns INTEGER",
        "account_run INTEGER",
        "account_arrived_ns INTEGER",
        "account_packets INTEGER",
        "account_drops INTEGER",
        "account_frames_dropped INTEGER",
        "account_traffic_ns INTEGER",
        "account_clock_offset_ns INTEGER",
    ):
        db.conn.execute(f"ALTER TABLE sensors ADD COLUMN {column}")


@migrations()  # type: ignore[untyped-decorator] # as above
def account_of_the_spool(db: Database) -> None:
    """Give the sensors' statistics what their spools lost and why, for how long they wait, and their unclean stops."""
    for column in ("frames_lost TEXT DEFAULT '{}'", "spool_lag_s INTEGER DEFAULT 0", "unclean_stops INTEGER DEFAULT 0"):
        db.conn.execute(f"ALTER TABLE sensors ADD COLUMN {column}")


@migrations()  # type: ignore[untyped-decorator] # as above
def sensor_keys(db: Database) -> None:
    """Keep the public keys that may speak, each for one sensor."""
    db.conn.execute(
        """CREATE TABLE sensor_keys (
            public_key TEXT PRIMARY KEY,
            sensor TEXT NOT NULL,
            added_ns INTEGER NOT NULL,
            revoked_ns INTEGER
        ) WITHOUT ROWID"""
    )
