"""Signatures: patterns over payload, found in streams that come in pieces."""
