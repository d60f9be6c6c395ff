from sensor.flow._table import FlowTable

class NotACapture(ValueError): ...

class CaptureDamaged(ValueError):
    offset: int

class CaptureWalker:
    offset: int
    format: str
    unknown_link_types: set[int]
    def __init__(self, table: FlowTable, expression: str = "") -> None: ...
    def feed(self, data: bytes | bytearray | memoryview) -> int: ...
