from sensor.stream.events import Event

class Streams:
    held_bytes: int
    held_pieces: int
    total_bytes: int
    most_bytes: int
    datagrams: bool
    apart: bool
    http: bool
    followed: int
    data_bytes: int
    skipped_bytes: int
    gap_bytes: int
    cut_bytes: int
    far: int
    lost: int
    held: int
    def __init__(
        self,
        *,
        held_bytes: int = ...,
        held_pieces: int = ...,
        total_bytes: int = ...,
        most_bytes: int = ...,
        datagrams: bool = ...,
        apart: bool = ...,
        http: bool = ...,
    ) -> None: ...
    def leave_out(self, flow_id: int, direction: int, until: int) -> None: ...
    def drain(self) -> list[Event]: ...
