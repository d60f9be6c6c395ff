from collections.abc import Callable

from sensor.inspect.facts import Told

class Inspector:
    memory_bytes: int
    used_bytes: int
    told: int
    given_up: int
    failed: int
    content_bytes: int
    def __init__(
        self, *, memory_bytes: int = ..., facts_of: Callable[[str, bool, bool, bytes], Told | None] | None = ...
    ) -> None: ...
