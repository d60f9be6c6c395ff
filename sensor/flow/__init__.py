"""The flow table: packets into flow records; pure, time comes with the packets."""
