from typing import Any

REJECT_REASONS: tuple[str, ...]
SUPPORTED_LINK_TYPES: dict[int, str]

def decode(link_type: int, frame: bytes | bytearray | memoryview, length: int | None = None) -> dict[str, Any]: ...
