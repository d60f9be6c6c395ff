"""The correlator: flow records into a store, views and alarms."""
