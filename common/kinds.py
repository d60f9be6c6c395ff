"""The kinds of value that a record's field may hold: the check of each, and the type that msgspec decodes it by."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta

UINT63_MAX: Final = (1 << 63) - 1

Check = Callable[[object], bool]


class Kind(NamedTuple):
    """What a field may hold: a name for the documentation, the check, and the type to decode it by.

    The type takes all that the check takes and leaves out two things only, which ``are_good`` looks at:
    whether texts are printable, and that no address has 5 to 15 bytes.
    """

    name: str
    check: Check
    wire_type: object


def is_count(value: object) -> bool:
    """Tell whether a value is a whole number from 0 to 63 bits."""
    return type(value) is int and 0 <= value <= UINT63_MAX


def _is_signed(value: object) -> bool:
    return type(value) is int and -UINT63_MAX <= value <= UINT63_MAX


def _up_to(limit: int) -> Check:
    return lambda value: type(value) is int and 0 <= value <= limit


def _optional(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _is_address(value: object) -> bool:
    return type(value) is bytes and len(value) in (4, 16)


def _text(limit: int) -> Check:
    # Control characters are refused here so that no terminal or log line has to fear a record.
    return lambda value: type(value) is str and len(value) <= limit and value.isprintable()


def _is_share(value: object) -> bool:
    return type(value) is float and math.isfinite(value) and value >= 0.0


def _array(length: int, check: Check) -> Check:
    return lambda value: isinstance(value, tuple) and len(value) == length and all(map(check, value))


def _list(limit: int, check: Check) -> Check:
    return lambda value: isinstance(value, tuple) and len(value) <= limit and all(map(check, value))


def _mapping(limit: int, key: Check, item: Check) -> Check:
    def is_mapping(value: object) -> bool:
        return isinstance(value, dict) and len(value) <= limit and all(key(k) and item(v) for k, v in value.items())

    return is_mapping


# msgspec takes a whole number where a fraction belongs; the second type keeps it from that, for no number is in it.
_NoWhole = Annotated[int, Meta(ge=1, le=0)]
_Share = Annotated[float, Meta(ge=0.0, le=sys.float_info.max)] | _NoWhole
_Count = Annotated[int, Meta(ge=0, le=UINT63_MAX)]
_Signed = Annotated[int, Meta(ge=-UINT63_MAX, le=UINT63_MAX)]
_Name = Annotated[str, Meta(max_length=255)]
_Word = Annotated[str, Meta(max_length=64)]

COUNT = Kind("count", is_count, _Count)
OPTIONAL_COUNT = Kind("count or nil", _optional(is_count), _Count | None)
BYTE = Kind("0..255", _up_to(0xFF), Annotated[int, Meta(ge=0, le=0xFF)])
PORT = Kind("0..65535", _up_to(0xFFFF), Annotated[int, Meta(ge=0, le=0xFFFF)])
VLAN = Kind("0..4095 or nil", _optional(_up_to(0xFFF)), Annotated[int, Meta(ge=0, le=0xFFF)] | None)
ADDRESS = Kind("4 or 16 bytes", _is_address, Annotated[bytes, Meta(min_length=4, max_length=16)])
NAME = Kind("text, at most 255", _text(255), _Name)
OPTIONAL_NAME = Kind("text, at most 255, or nil", _optional(_text(255)), _Name | None)
HISTOGRAM = Kind("8 counts or nil", _optional(_array(8, is_count)), tuple[(_Count,) * 8] | None)  # type: ignore[misc]
SHARE = Kind("number or nil", _optional(_is_share), _Share | None)
SPLT = Kind(
    "up to 32 (signed bytes, gap ms) or nil",
    _optional(_list(32, _array(2, _is_signed))),
    Annotated[tuple[tuple[_Signed, _Signed], ...], Meta(max_length=32)] | None,
)
FACTS = Kind(
    "map of up to 32 short texts or nil",
    _optional(_mapping(32, _text(64), lambda value: _is_signed(value) or _text(1024)(value))),
    Annotated[dict[_Word, _Signed | Annotated[str, Meta(max_length=1024)]], Meta(max_length=32)] | None,
)
NAMES = Kind(
    "up to 32 short texts or nil",
    _optional(_list(32, _text(64))),
    Annotated[tuple[_Word, ...], Meta(max_length=32)] | None,
)
HEADER_NAMES = Kind(
    "up to 64 short texts or nil",
    _optional(_list(64, _text(64))),
    Annotated[tuple[_Word, ...], Meta(max_length=64)] | None,
)
OPTIONAL_TEXT = Kind("text, at most 1024, or nil", _optional(_text(1024)), Annotated[str, Meta(max_length=1024)] | None)
COUNTS_BY_NAME = Kind(
    "map of up to 64 counts", _mapping(64, _text(64), is_count), Annotated[dict[_Word, _Count], Meta(max_length=64)]
)


def one_of(name: str, numbers: Collection[int]) -> Kind:
    """Return the kind of the numbers listed."""
    return Kind(name, lambda value: type(value) is int and value in numbers, Literal[tuple(numbers)])


def or_nil(kind: Kind) -> Kind:
    """Return the kind that may be nil as well."""
    return Kind(f"{kind.name} or nil", _optional(kind.check), kind.wire_type | None)  # type: ignore[operator]  # of types
