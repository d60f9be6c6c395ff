from sensor.flow._table import FlowTable

PLANTS: tuple[str, ...]

def allocated_bytes() -> int: ...
def leaks() -> bool: ...

def exact(data: bytes | bytearray | memoryview) -> memoryview: ...

class Corpus:
    count: int
    flow_count: int
    def __init__(
        self,
        frames: list[tuple[int, int, int, bytes, int]],
        flows: list[list[int]],
        headings: list[tuple[int, int, bytes]],
    ) -> None: ...

class Round:
    frames: int
    made: int
    number_of_first: int
    def __init__(
        self,
        corpus: Corpus,
        seed: int,
        number: int,
        frames: int,
        state: memoryview,
        wild: bool = False,
        plant: str | None = None,
        plant_at: int = ...,
    ) -> None: ...
    def feed(self, table: FlowTable) -> bool: ...
    def burst_frames(self) -> list[tuple[int, int, bytes, int]]: ...
