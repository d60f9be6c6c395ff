"""What connections carry, told from their first bytes: the protocol of each direction, and the facts it shows."""
