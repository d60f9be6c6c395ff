"""The names of the schema's steps, for whoever only has to know whether a file has them."""

from __future__ import annotations

from typing import Final

SET: Final = "tunnelwatch"
STEPS: Final = frozenset(("tables", "detection", "http_exchanges", "habits", "lists", "learning"))
"""As in ``schema``, which takes its time to import."""
