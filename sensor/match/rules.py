"""Rule files: named patterns in TOML, each with its side, its protocol and what a hit means."""

from __future__ import annotations

import tomllib
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from sensor.match.patterns import ANY, Pattern, PatternError, compile_pattern

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "icmp": 1, "icmp6": 58}
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One signature of a rule file."""

    name: _Name
    pattern: Annotated[str, msgspec.Meta(min_length=1)]
    explanation: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    side: Literal["any", "client", "server"] = ANY
    protocol: str | Annotated[int, msgspec.Meta(ge=0, le=255)] = ANY


class _RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: tuple[Rule, ...]


class Rules(NamedTuple):
    """What a rule file holds."""

    patterns: list[Pattern]
    explanations: dict[str, str]


def read_rules(data: bytes, shown: str, *, ignore_case: bool = False) -> Rules:
    """Return the rules of a file; PatternError names the rule that cannot be used."""
    try:
        file = msgspec.convert(tomllib.loads(data.decode()), _RuleFile)
    except UnicodeDecodeError as error:
        raise PatternError(f"{shown} is not UTF-8 (byte {error.start}); write it as TOML") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PatternError(f"{shown} is not TOML: {error}; a rule begins with [[rule]]") from None
    except msgspec.ValidationError as error:
        raise PatternError(f"{shown}: {error}; a rule has name, pattern, explanation, side, protocol") from None
    patterns = []
    explanations: dict[str, str] = {}
    for rule in file.rule:
        place = f"{shown} rule {rule.name}"
        if rule.name in explanations:
            raise PatternError(f"{place}: there is another rule of this name; give each its own")
        explanations[rule.name] = rule.explanation
        protocol = _protocol(rule.protocol, place)
        patterns.append(
            compile_pattern(
                rule.pattern.encode(), place, side=rule.side, ignore_case=ignore_case, name=rule.name, protocol=protocol
            )
        )
    return Rules(patterns, explanations)


def _protocol(given: str | int, place: str) -> int | None:
    if isinstance(given, int):
        return given
    if given == ANY:
        return None
    if given not in PROTOCOLS:
        known = ", ".join(PROTOCOLS)
        raise PatternError(f"{place}: no protocol {given!r}; known are {known}, any and numbers up to 255")
    return PROTOCOLS[given]
