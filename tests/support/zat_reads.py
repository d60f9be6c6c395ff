"""Prints as JSON what zat reads in a conn.log; run by an interpreter that has zat, which the tests' own has not."""

from __future__ import annotations

import contextlib
import json
import sys

from zat.log_to_dataframe import LogToDataFrame
from zat.zeek_log_reader import ZeekLogReader


def main() -> None:
    """Read the log named on the command line in both of zat's ways."""
    path = sys.argv[1]
    with contextlib.redirect_stdout(sys.stderr):  # the reader prints that it reads
        rows = list(ZeekLogReader(path, strict=True).readrows())
        frame = LogToDataFrame().create_dataframe(path, ts_index=False)
    totals = {name: int(frame[name].sum()) for name in ("orig_pkts", "resp_pkts", "orig_bytes", "resp_bytes")}
    answer = {
        "rows": [{name: str(value) for name, value in row.items()} for row in rows],
        "row_types": {name: type(value).__name__ for name, value in rows[0].items()} if rows else {},
        "frame_rows": len(frame),
        "frame_types": {name: str(kind) for name, kind in frame.dtypes.items()},
        "frame_totals": totals,
        "frame_seconds": float(frame["duration"].sum().total_seconds()) if len(frame) else 0.0,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
