"""TOML files into frozen, checked settings; an unknown key is an error that names the nearest one."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from common.errors import ConfigError

S = TypeVar("S", bound=msgspec.Struct)


def load_settings(path: Path | None, settings_type: type[S]) -> S:
    """Return the settings of a TOML file, defaults where it says nothing; ConfigError in one line."""
    if path is None:
        return settings_type()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; a configuration is a TOML file") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is one; a huge number or nesting is another
        raise ConfigError(f"{path} is not valid TOML: {error}; mend that line") from None
    return checked_settings(content, settings_type, str(path))


def checked_settings(content: dict[str, Any], settings_type: type[S], name: str) -> S:
    """Return settings from parsed TOML; ``name`` is the file's, for messages."""
    _refuse_unknown_keys(content, settings_type, name, "")
    try:
        return msgspec.convert(content, settings_type, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_place_first(str(error))}; see the example configuration") from None


def dump_settings(settings: msgspec.Struct) -> str:
    """Return settings as TOML text that ``load_settings`` reads back to the same."""
    plain = msgspec.to_builtins(settings)
    lines: list[str] = []
    _dump_table(plain, "", lines)
    return "\n".join(lines).strip() + "\n"


def _dump_table(table: dict[str, Any], prefix: str, lines: list[str]) -> None:
    nested = {key: value for key, value in table.items() if isinstance(value, dict)}
    flat = {key: value for key, value in table.items() if key not in nested and value is not None}
    if prefix and flat:
        lines.append(f"\n[{prefix}]")
    lines.extend(f"{key} = {_toml(value)}" for key, value in flat.items())
    for key, value in nested.items():
        _dump_table(value, f"{prefix}.{key}" if prefix else key, lines)


def _toml(value: Any) -> str:
    # TOML's basic strings, numbers, booleans and arrays of them are JSON's, but for DEL and what commands a terminal.
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in msgspec.json.encode(value).decode())


def _escaped(code: int) -> str:
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _refuse_unknown_keys(content: dict[str, Any], settings_type: type[Any], name: str, prefix: str) -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(settings_type)}
    for key, value in content.items():
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            where = f"[{prefix}] " if prefix else ""
            raise ConfigError(f"{name}: unknown key {where}{key!r}; the nearest known key is {nearest[0]!r}")
        nested = known[key]
        if isinstance(value, dict) and isinstance(nested, type) and issubclass(nested, msgspec.Struct):
            _refuse_unknown_keys(value, nested, name, f"{prefix}.{key}" if prefix else key)


def _place_first(message: str) -> str:
    """Turn msgspec's ``Expected `int`, got `str` - at `$.a.b``` into ``a.b: expected int, got str``."""
    match = re.fullmatch(r"(.*?)(?: - at `\$\.?(.*)`)?", message, re.DOTALL)
    assert match is not None  # the pattern matches any text
    fact = match[1].replace("`", "")
    return f"{match[2]}: {fact[0].lower()}{fact[1:]}" if match[2] else fact
