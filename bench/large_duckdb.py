"""Makes the Parquet file of the large store's flows, and answers a question about it; runs where DuckDB is installed.

zcat flows.csv.gz | python bench/large_duckdb.py make flows.parquet
python bench/large_duckdb.py ask flows.parquet "SELECT ..."
"""

from __future__ import annotations

import json
import sys

import duckdb

_COLUMNS = (
    "{'client': 'VARCHAR', 'client_port': 'USMALLINT', 'server': 'VARCHAR', 'server_port': 'USMALLINT', "
    "'protocol': 'UTINYINT', 'start_ns': 'BIGINT', 'end_ns': 'BIGINT', "
    "'packets_out': 'BIGINT', 'packets_in': 'BIGINT', 'bytes_out': 'BIGINT', 'bytes_in': 'BIGINT', 'host': 'VARCHAR'}"
)


def main() -> None:
    """Do the one or the other; answers are printed as a JSON list of rows."""
    what, path = sys.argv[1:3]
    if what == "make":
        rows = f"read_csv('/dev/stdin', header = false, auto_detect = false, columns = {_COLUMNS})"
        duckdb.execute(f"COPY (SELECT * FROM {rows}) TO '{path}' (FORMAT parquet)")
    elif what == "ask":
        duckdb.execute(f"CREATE VIEW flows AS SELECT * FROM '{path}'")
        print(json.dumps(duckdb.execute(sys.argv[3]).fetchall()))


if __name__ == "__main__":
    main()
