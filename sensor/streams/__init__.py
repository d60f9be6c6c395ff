"""Streams written down: a file for each direction of each connection, or text on a terminal."""
