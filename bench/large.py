"""A month of a large network in the store: how it gets in, what it takes, how fast it answers, and beside others."""

from __future__ import annotations

from pathlib import Path

from large_flows import write_month
from large_ingest import ingest, ingest_table, size_table
from large_peers import beside_others
from large_queries import examples, queries_table
from measure import TMP, Plan, say


def large(plan: Plan) -> list[str]:
    """Return the tables; the flow logs and what is made of them for others are kept for the next time."""
    flows = plan.flows
    made = TMP / f"month-{flows}"
    say(f"flow logs of {flows:,} flows: {made}")
    logs = write_month(made, flows)
    store = plan.store
    parts: list[list[str]] = []

    def done(part: list[str]) -> None:
        parts.append(part)
        say("\n".join(["", *part, ""]))  # for the whole takes long

    if store is None:
        store = Path(f"{made}.db")
        say(f"importing them into {store}")
        done(ingest_table(ingest(store, logs, flows), flows))
    done(size_table(store, flows))
    say("asking")
    who = examples(store)
    done(queries_table(store, who, plan.rounds, made.with_suffix(".questions.tsv")))
    say("asking others")
    done(beside_others(store, logs, who, plan.rounds, made))
    return [line for part in parts for line in (*part, "")][:-1]
