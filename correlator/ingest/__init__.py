"""Ingest: frames and lines from sockets and files into the store, by one path."""
