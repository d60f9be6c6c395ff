"""What both programs share: records, the flow log's framing, the link's messages, settings."""

from __future__ import annotations

__version__ = "0.1.0"
