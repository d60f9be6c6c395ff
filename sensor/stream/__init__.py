"""What was said inside connections: streams put together from packets."""
