"""Ascending numbers that take memory for their gaps and not for themselves: which frames wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator


class Ranges:
    """As much of a deque of ascending numbers as the spool and the sender use."""

    __slots__ = ("_count", "_ranges")

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._ranges: deque[list[int]] = deque()  # first and last of each
        self._count = 0
        for number in numbers:
            self.append(number)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for first, last in self._ranges:
            yield from range(first, last + 1)

    def __contains__(self, number: int) -> bool:
        return self._range_of(number) is not None

    def __getitem__(self, index: int) -> int:
        """Return the first or the last number; IndexError when there is none, or for others."""
        if index not in (0, -1):
            raise IndexError(index)
        return self._ranges[index][index]

    def append(self, number: int) -> None:
        """Add a number above all others; ValueError when it is not."""
        if self._ranges and number <= self._ranges[-1][1]:
            raise ValueError(f"{number} does not follow {self._ranges[-1][1]}")
        if self._ranges and number == self._ranges[-1][1] + 1:
            self._ranges[-1][1] = number
        else:
            self._ranges.append([number, number])
        self._count += 1

    def appendleft(self, number: int) -> None:
        """Add a number below all others; ValueError when it is not."""
        if self._ranges and number >= self._ranges[0][0]:
            raise ValueError(f"{number} does not precede {self._ranges[0][0]}")
        if self._ranges and number == self._ranges[0][0] - 1:
            self._ranges[0][0] = number
        else:
            self._ranges.appendleft([number, number])
        self._count += 1

    def extendleft(self, numbers: Iterable[int]) -> None:
        """Add descending numbers below all others."""
        for number in numbers:
            self.appendleft(number)

    def popleft(self) -> int:
        """Take the lowest number."""
        number = self[0]
        self.drop_through(number)
        return number

    def drop_through(self, number: int) -> int:
        """Take away every number up to this one; return how many they were."""
        before = self._count
        while self._ranges and self._ranges[0][0] <= number:
            first, last = self._ranges[0]
            if last > number:
                self._ranges[0][0] = number + 1
                self._count -= number + 1 - first
                break
            self._ranges.popleft()
            self._count -= last + 1 - first
        return before - self._count

    def remove(self, number: int) -> None:
        """Take away one number, if it is there."""
        index = self._range_of(number)
        if index is None:
            return
        first, last = self._ranges[index]
        self._count -= 1
        rest = [part for part in ([first, number - 1], [number + 1, last]) if part[0] <= part[1]]
        del self._ranges[index]
        for part in reversed(rest):
            self._ranges.insert(index, part)

    def _range_of(self, number: int) -> int | None:
        for index, (first, last) in enumerate(self._ranges):
            if number <= last:
                return index if first <= number else None
        return None
