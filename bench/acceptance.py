#!/usr/bin/env python3
"""Play a simulated office with and without tunnels through the correlator; what is found beside what is published.

    .venv/bin/python bench/acceptance.py             30 users, 40 days, 20 tunnels of every kind
    .venv/bin/python bench/acceptance.py --write     also into docs/detection-figures.md, with its picture
    .venv/bin/python bench/acceptance.py --users 10 --days 5 --tunnels 2

The flow logs are made by bench/simulate.py on first use and kept in bench/tmp; the whole takes about half an hour, and
--users and --days make it shorter.  Everything is by the default configuration, without learning or lists.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from acceptance_tables import (
    false_alarms,
    kinds_table,
    rows_table,
    webtap_filters,
    webtap_tools,
)
from measure import HERE, TMP, machine, say
from played import labels_of, play
from reliability import bins_of, picture, reliability_table
from simulate import Plan, write

PAGE = HERE.parent / "docs/detection-figures.md"
PICTURE = HERE.parent / "docs/reliability.svg"
MARKS = "<!-- figures: begin -->", "<!-- figures: end -->"
LOSSY_DAYS = 2
LOST = 0.1


def main() -> None:
    """Play, and print the tables."""
    asked = _asked()
    name = f"office-{asked.users}-{asked.days}-{asked.seed}"
    office, tunnels, lossy = (TMP / f"{name}{ending}" for ending in ("", f"-tunnels-{asked.tunnels}", "-lossy"))
    TMP.mkdir(exist_ok=True)
    say(f"flow logs: {office}, {tunnels}, {lossy}")
    lossy_days = min(asked.days, LOSSY_DAYS)
    write(tunnels, Plan(asked.users, asked.days, asked.tunnels, asked.seed, ordinary=False))
    write(office, Plan(asked.users, asked.days, 0, asked.seed))
    write(lossy, Plan(asked.users, lossy_days, 0, asked.seed, lost=LOST))

    say("ordinary traffic alone")
    plain_labels = labels_of(office)
    plain = play([office], range(asked.days), Path(f"{office}.db"))
    say(f"ordinary traffic of which {LOST:.0%} of the packets are missed")
    missing = play([lossy], range(lossy_days), Path(f"{lossy}.db"))
    say("with tunnels")
    labels = labels_of(office, tunnels)
    mixed = play([office, tunnels], range(asked.days), Path(f"{tunnels}.db"))
    user_days = asked.users * asked.days
    bins, rate = bins_of(mixed.stated, labels)
    what = (
        f"{asked.users} users, {asked.days} days, {asked.tunnels} tunnels of every kind, seed {asked.seed}; "
        f"{plain.records:,} records of ordinary traffic, {mixed.records:,} with the tunnels. "
        f"Default configuration, nothing learned, no lists. On {machine()}."
    )
    text = "\n".join(
        (
            what,
            "",
            "## The acceptance table",
            "",
            *rows_table(mixed, labels),
            "",
            "## False alarms",
            "",
            *false_alarms(plain, missing, user_days, asked.users * lossy_days),
            "",
            "## Ordinary traffic by kind",
            "",
            *kinds_table(plain, plain_labels),
            "",
            "## Web Tap's filters",
            "",
            *webtap_filters(plain, mixed, labels, user_days),
            "",
            "## Web Tap's tools",
            "",
            *webtap_tools(mixed, labels),
            "",
            "## Are the probabilities right?",
            "",
            *reliability_table(bins, rate),
            "",
        )
    )
    print(text)
    if asked.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
        PAGE.write_text(f"{before}{MARKS[0]}\n{text}{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")
        picture(bins, PICTURE)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=30, help="(default: %(default)s)")
    parser.add_argument("--days", type=int, default=40, help="(default: %(default)s)")
    parser.add_argument("--tunnels", type=int, default=20, metavar="N", help="of every kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/detection-figures.md")
    asked = parser.parse_args()
    if min(asked.users, asked.days, asked.tunnels) < 1:
        parser.error("--users, --days and --tunnels are 1 or more")
    return asked


if __name__ == "__main__":
    main()
