from typing import Any

class Reassembler:
    max_datagrams: int
    max_bytes: int
    fragments: int
    datagrams: int
    held_bytes: int
    def __init__(
        self,
        *,
        max_datagrams: int = ...,
        max_bytes: int = ...,
        timeout_ns: int = ...,
        vlan_in_key: bool = ...,
        seed: bytes = ...,
    ) -> None: ...
    def decode(
        self, link_type: int, time_ns: int, frame: bytes | bytearray | memoryview, length: int | None = None
    ) -> dict[str, Any]: ...
