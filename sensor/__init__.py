"""The sensor: packets on the tap into flow records, written to a flow log and shipped."""
