"""Where records go on this host: flow logs and text."""
